package driver

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/envharness/envharness/discovery"
)

// view is what those see who watch a place with one query. A change costs it work in proportion to the change, and one
// copy of the list that is handed out, however many watch and however much has changed since the last.
type view struct {
	query   discovery.Query
	watches int

	// Sorted by ID, and by key where one ID stands at two. The instances are handed out, and never changed then.
	entries   []*known
	instances []discovery.Instance // those of entries; nil: nobody has asked yet
	spare     []discovery.Instance // a copy of instances that nobody has; nil: there is none
	edits     map[rank]edit        // what is not yet in the slices
	lists     int                  // how many lists were made

	changed bool          // there is something that was not told yet
	version uint64        // counts what was told
	news    chan struct{} // closed at the next
	work    work
}

// work counts what a view has cost.
type work struct {
	fills  int // lists made of all items
	merges int // lists made by going through all instances, for many edits
	edits  int // instances put into or taken out of a copy of the list
	copied int // instances copied as a block
}

// rank is where an instance stands in a list.
type rank struct{ id, key string }

// edit is a change of a view: an instance that is new in it, or one that is not there any more.
type edit struct {
	*known
	gone bool
}

func newView(q discovery.Query) *view {
	return &view{query: q, edits: map[rank]edit{}, news: make(chan struct{})}
}

func queryKey(q discovery.Query) string { return fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All) }

// see gives the view of a query; its leave follows.
func (w *sharedWatch) see(q discovery.Query) *view {
	w.lock.Lock()
	defer w.lock.Unlock()
	v := w.views[queryKey(q)]
	if v == nil {
		v = newView(q)
		w.views[queryKey(q)] = v
	}
	v.watches++
	return v
}

func (w *sharedWatch) leave(v *view) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if v.watches--; v.watches == 0 {
		delete(w.views, queryKey(v.query))
	}
}

// replace takes over a change of one key.
func (v *view) replace(was, now *known, ofInstances bool) {
	before, after := v.shows(was), v.shows(now)
	v.changed = v.changed || before || after || !ofInstances
	if v.instances == nil {
		return // the first list is made of all items
	}
	if before {
		v.edits[was.rank()] = edit{was, true}
	}
	if after {
		v.edits[now.rank()] = edit{now, false}
	}
}

func (v *view) shows(one *known) bool { return one.ok && v.query.Matches(one.instance) }

// tell lets those who watch know that there is something new.
func (v *view) tell() {
	v.changed = false
	v.version++
	close(v.news)
	v.news = make(chan struct{})
}

// list gives the instances.
func (v *view) list(w *sharedWatch) []discovery.Instance {
	switch {
	case v.instances == nil:
		v.fill(w)
	case len(v.edits) > 0:
		v.merge()
		v.prepare(w)
	}
	return v.instances
}

// fill makes the list of all items.
func (v *view) fill(w *sharedWatch) {
	v.work.fills++
	all := w.ordered
	if all == nil {
		all = slices.Collect(maps.Values(w.items))
	}
	v.entries = make([]*known, 0, len(all))
	for _, one := range all {
		if v.shows(one) {
			v.entries = append(v.entries, one)
		}
	}
	if !slices.IsSortedFunc(v.entries, byIDAndKey) {
		slices.SortFunc(v.entries, byIDAndKey)
	}
	v.instances = make([]discovery.Instance, len(v.entries))
	for i, one := range v.entries {
		v.instances[i] = one.instance
	}
}

func (k *known) rank() rank { return rank{k.instance.ID, k.item.Key} }

func byIDAndKey(a, b *known) int {
	return cmp.Or(cmp.Compare(a.instance.ID, b.instance.ID), cmp.Compare(a.item.Key, b.item.Key))
}

// fewMoves is how many instances are put in or taken out one by one, each of which moves those behind it.
const fewMoves = 8

// merge makes the list anew, with the edits.
func (v *view) merge() {
	edits := slices.Collect(maps.Values(v.edits))
	clear(v.edits)
	slices.SortFunc(edits, func(a, b edit) int { return byIDAndKey(a.known, b.known) })
	places, moves := make([]int, len(edits)), 0
	for i, e := range edits {
		at, there := slices.BinarySearchFunc(v.entries, e.known, byIDAndKey)
		if places[i] = at; !there || e.gone {
			moves++
		}
	}
	v.lists++
	if moves > fewMoves {
		v.mergeMany(edits, places)
	} else {
		v.mergeFew(edits, places)
	}
	v.spare = nil
}

// mergeFew edits a copy of the list, from its end, so that the places before an edit stay.
func (v *view) mergeFew(edits []edit, places []int) {
	list := v.spare
	if list == nil {
		list = v.copy()
	}
	v.work.edits += len(edits)
	for i, e := range slices.Backward(edits) {
		at := places[i]
		there := at < len(v.entries) && v.entries[at].rank() == e.rank()
		switch {
		case there && e.gone:
			v.entries, list = slices.Delete(v.entries, at, at+1), slices.Delete(list, at, at+1)
		case there:
			v.entries[at], list[at] = e.known, e.instance
		case !e.gone:
			v.entries, list = slices.Insert(v.entries, at, e.known), slices.Insert(list, at, e.instance)
		}
	}
	v.instances = list
}

// mergeMany goes through the list once.
func (v *view) mergeMany(edits []edit, places []int) {
	v.work.merges++
	entries := make([]*known, 0, len(v.entries)+len(edits))
	list := make([]discovery.Instance, 0, len(v.entries)+len(edits))
	from := 0
	for i, e := range edits {
		at := places[i]
		entries, list = append(entries, v.entries[from:at]...), append(list, v.instances[from:at]...)
		if from = at; at < len(v.entries) && v.entries[at].rank() == e.rank() {
			from++
		}
		if !e.gone {
			entries, list = append(entries, e.known), append(list, e.instance)
		}
	}
	v.entries, v.instances = append(entries, v.entries[from:]...), append(list, v.instances[from:]...)
	v.work.copied += len(v.instances)
}

// copy gives a copy of the list with room for few more.
func (v *view) copy() []discovery.Instance {
	v.work.copied += len(v.instances)
	return copyOf(v.instances)
}

func copyOf(list []discovery.Instance) []discovery.Instance {
	return append(make([]discovery.Instance, 0, len(list)+fewMoves), list...)
}

// spareFrom is how many instances are worth a copy before it is needed.
const spareFrom = 500

// prepare copies a long list that has changed for the next change, whose watchers then need not wait for that.
func (v *view) prepare(w *sharedWatch) {
	if len(v.instances) < spareFrom {
		return
	}
	list, lists := v.instances, v.lists
	go func() {
		spare := copyOf(list)
		w.lock.Lock()
		defer w.lock.Unlock()
		v.work.copied += len(spare)
		if v.lists == lists {
			v.spare = spare
		}
	}()
}

// snapshot gives what the view's readers see of a service.
func (w *sharedWatch) snapshot(v *view, service string) discovery.Snapshot {
	w.lock.Lock()
	defer w.lock.Unlock()
	return discovery.Snapshot{
		Service:   service,
		Instances: slices.Clip(v.list(w)), // who appends to it has a copy
		Revision:  w.revision,
		Never:     w.never,
		Query:     v.query,
	}
}

// item gives what stands at the key that is followed.
func (w *sharedWatch) item() Item {
	w.lock.Lock()
	defer w.lock.Unlock()
	if one, there := w.items[w.key]; there {
		return one.item
	}
	return Item{Key: w.key, Gone: true}
}

// all gives what stands at the keys that are followed, in any order.
func (w *sharedWatch) all() []Item {
	w.lock.Lock()
	defer w.lock.Unlock()
	items := make([]Item, 0, len(w.items))
	for _, one := range w.items {
		items = append(items, one.item)
	}
	return items
}

// fewAtOnce is how many decodings are worth a goroutine.
const fewAtOnce = 256

// each calls do for 0 to n-1, several at once when there are many.
func each(n int, do func(int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n/fewAtOnce, runtime.GOMAXPROCS(0)-1) {
		workers.Go(func() { eachOf(&next, n, do) })
	}
	eachOf(&next, n, do)
	workers.Wait()
}

// eachOf takes some numbers at a time: goroutines that take one each spend their time on the counter.
func eachOf(next *atomic.Int64, n int, do func(int)) {
	const some = 64
	for from := int(next.Add(some)) - some; from < n; from = int(next.Add(some)) - some {
		for i := from; i < min(from+some, n); i++ {
			do(i)
		}
	}
}
