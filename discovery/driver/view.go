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

// view is what those see who watch a place with one query. A change costs it work in proportion to the change, but for
// the copy that who reads it gets.
type view struct {
	query   discovery.Query
	watches int

	// Sorted by ID, and by key where one ID stands at two. The slices are handed out, and never changed.
	keys      []string
	instances []discovery.Instance
	edits     map[string]edit // by key: what is not yet in the slices

	changed bool          // there is something that was not told yet
	version uint64        // counts what was told
	news    chan struct{} // closed at the next
}

// edit is a change of a view: an instance that is new in it, or one that is not there any more.
type edit struct {
	instance discovery.Instance
	gone     bool
}

func newView(q discovery.Query) *view {
	return &view{query: q, edits: map[string]edit{}, news: make(chan struct{})}
}

func queryKey(q discovery.Query) string { return fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All) }

// see gives the view of a query; its leave follows.
func (w *sharedWatch) see(q discovery.Query) *view {
	w.lock.Lock()
	defer w.lock.Unlock()
	v := w.views[queryKey(q)]
	if v == nil {
		v = newView(q)
		for key, now := range w.items {
			v.replace(key, known{}, now, w.ofInstances())
		}
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
func (v *view) replace(key string, was, now known, ofInstances bool) {
	before, after := was.ok && v.query.Matches(was.instance), now.ok && v.query.Matches(now.instance)
	v.changed = v.changed || before || after || !ofInstances
	switch {
	case after:
		v.edits[key] = edit{instance: now.instance}
	case before:
		v.edits[key] = edit{instance: was.instance, gone: true}
	}
}

// tell lets those who watch know that there is something new.
func (v *view) tell() {
	v.changed = false
	v.version++
	close(v.news)
	v.news = make(chan struct{})
}

// list gives the instances.
func (v *view) list() []discovery.Instance {
	if len(v.edits) > 0 || v.instances == nil {
		v.merge()
	}
	return v.instances
}

// merge makes the slices anew, with the edits.
func (v *view) merge() {
	order := slices.Collect(maps.Keys(v.edits))
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(v.edits[a].instance.ID, v.edits[b].instance.ID), cmp.Compare(a, b))
	})
	keys := make([]string, 0, len(v.keys)+len(order))
	instances := make([]discovery.Instance, 0, len(v.instances)+len(order))
	from := 0
	for _, key := range order {
		change := v.edits[key]
		at, there := v.find(from, change.instance.ID, key)
		keys, instances = append(keys, v.keys[from:at]...), append(instances, v.instances[from:at]...)
		if !change.gone {
			keys, instances = append(keys, key), append(instances, change.instance)
		}
		if from = at; there {
			from++
		}
	}
	v.keys, v.instances = append(keys, v.keys[from:]...), append(instances, v.instances[from:]...)
	clear(v.edits)
}

// find gives the place of an instance at or after from, and whether it is there.
func (v *view) find(from int, id, key string) (at int, there bool) {
	at, _ = slices.BinarySearchFunc(v.instances[from:], id, func(in discovery.Instance, id string) int { return cmp.Compare(in.ID, id) })
	for at += from; at < len(v.keys) && v.instances[at].ID == id && v.keys[at] < key; at++ {
	}
	return at, at < len(v.keys) && v.keys[at] == key && v.instances[at].ID == id
}

// snapshot gives what the view's readers see of a service.
func (w *sharedWatch) snapshot(v *view, service string) discovery.Snapshot {
	w.lock.Lock()
	defer w.lock.Unlock()
	return discovery.Snapshot{
		Service:   service,
		Instances: v.list(),
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

func eachOf(next *atomic.Int64, n int, do func(int)) {
	for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
		do(i)
	}
}
