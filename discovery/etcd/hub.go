package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return nil, r.fail("watch service", service, err)
	}
	follower := r.hubs.join(r, service, prefix, q)
	return driver.WatchSnapshots(ctx, r.group, follower, service, r.config.Log)
}

// hubs are what is watched in a registry: all watches of a service share one subscription, decode each
// record once, and those with the same query share the snapshots, too.
type hubs struct {
	lock      sync.Mutex
	byService map[string]*hub
}

// maxBatch is how many changes are taken over at once, at most about.
const maxBatch = 1000

// hub follows a service for all who watch it.
type hub struct {
	subscription
	end     context.CancelFunc
	watches int // under the lock of hubs

	// Of the goroutine that runs the hub.
	byKey  map[string]known
	sorted []discovery.Instance // by ID

	lock  sync.Mutex
	views map[string]*view // by query
	live  bool             // the views are what the registry holds, as far as it has told
	err   error            // why they are not; nil before the first read
	turn  chan struct{}    // closed when live or err changes
}

// known is a record as it was last read.
type known struct {
	state    state
	instance discovery.Instance
	ok       bool // it is no malformed one
}

// state identifies what stands at a key. The revisions alone do not, when etcd has lost its data.
type state struct{ created, modified, version, lease int64 }

func stateOf(kv *mvccpb.KeyValue) state {
	return state{kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease}
}

// view is what those with one query see.
type view struct {
	query    discovery.Query
	watches  int // under the lock of hubs
	snapshot discovery.Snapshot
	revision int64
	era      int           // counts how often the revision did not grow: what was before is history
	changed  chan struct{} // closed at the next snapshot
}

// join gives a follower of a service; who has it closes it.
func (h *hubs) join(r *registry, service, prefix string, q discovery.Query) *follower {
	h.lock.Lock()
	defer h.lock.Unlock()
	one := h.byService[service]
	if one == nil {
		one = &hub{
			subscription: subscription{
				registry: r,
				op:       "watch service",
				name:     service,
				key:      prefix,
				options:  []clientv3.OpOption{clientv3.WithPrefix()},
			},
			views: map[string]*view{},
			turn:  make(chan struct{}),
		}
		h.byService[service] = one
		ctx, end := context.WithCancel(context.Background())
		one.end = end
		defer r.group.Go(ctx, one.run)
	}
	one.watches++
	return &follower{hub: one, view: one.see(q), joining: one.watches > 1}
}

// leave ends the hub when nobody watches any more.
func (h *hubs) leave(f *follower) {
	h.lock.Lock()
	defer h.lock.Unlock()
	f.hub.lock.Lock()
	if f.view.watches--; f.view.watches == 0 {
		delete(f.hub.views, queryKey(f.view.query))
	}
	f.hub.lock.Unlock()
	if f.hub.watches--; f.hub.watches == 0 {
		delete(h.byService, f.hub.name)
		f.hub.end()
	}
}

// see gives the view of a query.
func (h *hub) see(q discovery.Query) *view {
	h.lock.Lock()
	defer h.lock.Unlock()
	v := h.views[queryKey(q)]
	if v == nil {
		v = &view{query: q, changed: make(chan struct{})}
		v.renew(h) // of a hub that lives already
		h.views[queryKey(q)] = v
	}
	v.watches++
	return v
}

func queryKey(q discovery.Query) string { return fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All) }

// run follows the service until nobody watches it.
func (h *hub) run(ctx context.Context) {
	defer h.subscription.Close()
	var backoff discovery.Backoff
	for ctx.Err() == nil {
		err := h.follow(ctx, &backoff)
		if ctx.Err() != nil || driver.IsGap(err) {
			continue
		}
		h.set(false, err)
		if backoff.Wait(ctx) != nil {
			return
		}
	}
}

// follow reads all, and then takes over changes until the subscription breaks.
func (h *hub) follow(ctx context.Context, backoff *discovery.Backoff) error {
	response, err := h.read(ctx)
	if err != nil {
		return err
	}
	backoff.Reset()
	h.replace(response)
	for {
		changes, err := h.next(ctx)
		events := changes.Events
		for some := true; some && err == nil && len(events) < maxBatch; {
			changes, some, err = h.more()
			events = append(events, changes.Events...)
		}
		h.apply(events)
		if err != nil {
			return err
		}
	}
}

// set tells whether the views live.
func (h *hub) set(live bool, err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.live, h.err = live, err
	close(h.turn)
	h.turn = make(chan struct{})
}

// replace takes over all that there is.
func (h *hub) replace(response *clientv3.GetResponse) {
	h.lock.Lock()
	h.byKey, h.sorted = h.decode(response.Kvs)
	for _, v := range h.views {
		if response.Header.Revision <= v.revision {
			v.era++ // the registry may have lost its data
		}
		v.revision = response.Header.Revision
		v.renew(h)
	}
	h.lock.Unlock()
	h.set(true, nil)
}

// decode reads records, those that are known already not again.
func (h *hub) decode(kvs []*mvccpb.KeyValue) (map[string]known, []discovery.Instance) {
	byKey, sorted := make(map[string]known, len(kvs)), make([]discovery.Instance, 0, len(kvs))
	for _, kv := range kvs {
		record := h.decodeOne(kv)
		byKey[string(kv.Key)] = record
		if record.ok {
			sorted = append(sorted, record.instance)
		}
	}
	slices.SortFunc(sorted, byID)
	return byKey, sorted
}

func (h *hub) decodeOne(kv *mvccpb.KeyValue) known {
	if record, ok := h.byKey[string(kv.Key)]; ok && record.state == stateOf(kv) {
		return record
	}
	r := h.registry
	in, ok := layout.DecodeOne(r.layout, r.config.Log, layout.Record{Key: string(kv.Key), Value: kv.Value})
	return known{stateOf(kv), in, ok}
}

// apply takes over changes, and renews the views that see one of them.
func (h *hub) apply(events []*clientv3.Event) {
	if len(events) == 0 {
		return
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	seeing := map[*view]bool{}
	for _, event := range events {
		before, after := h.applyOne(event)
		for _, v := range h.views {
			if before.ok && v.query.Matches(before.instance) || after.ok && v.query.Matches(after.instance) {
				seeing[v] = true
			}
		}
	}
	for v := range seeing {
		// a response's header may be ahead of its events
		v.revision = events[len(events)-1].Kv.ModRevision
		v.renew(h)
	}
}

// applyOne takes over one change and gives the record before and after it.
func (h *hub) applyOne(event *clientv3.Event) (before, after known) {
	key := string(event.Kv.Key)
	before = h.byKey[key]
	if event.Type == clientv3.EventTypePut {
		after = h.decodeOne(event.Kv)
	}
	if before.ok {
		at, _ := slices.BinarySearchFunc(h.sorted, before.instance, byID)
		h.sorted = slices.Delete(h.sorted, at, at+1)
	}
	delete(h.byKey, key)
	if event.Type == clientv3.EventTypePut {
		h.byKey[key] = after
	}
	if after.ok {
		at, _ := slices.BinarySearchFunc(h.sorted, after.instance, byID)
		h.sorted = slices.Insert(h.sorted, at, after.instance)
	}
	return before, after
}

// renew makes the view's snapshot of what the hub now holds.
func (v *view) renew(h *hub) {
	v.snapshot = discovery.NewSnapshot(h.name, revision(v.revision), v.query, h.sorted)
	close(v.changed)
	v.changed = make(chan struct{})
}

// follower is one watch of a service: the source of driver.WatchSnapshots.
type follower struct {
	*hub
	view    *view
	joining bool  // the hub was there before it, so what it holds may be older than the watch
	seen    int64 // the revision of what was delivered last
	era     int   // and its era
}

// Read waits for the hub. A watch that joined reads for itself, once: its first snapshot must not be older
// than the call.
func (f *follower) Read(ctx context.Context) (discovery.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*f.registry.config.Timeout)
	defer cancel()
	if err := f.awaitHub(ctx); err != nil {
		return discovery.Snapshot{}, err
	}
	if f.joining {
		return f.join(ctx)
	}
	f.hub.lock.Lock()
	defer f.hub.lock.Unlock()
	f.seen, f.era = f.view.revision, f.view.era
	return f.view.snapshot, nil
}

func (f *follower) join(ctx context.Context) (discovery.Snapshot, error) {
	response, err := f.registry.readAll(ctx, f.op, f.name, f.key)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	f.hub.lock.Lock()
	defer f.hub.lock.Unlock()
	f.joining = false
	f.seen, f.era = response.Header.Revision, f.view.era
	if f.view.revision > f.seen {
		f.seen = f.view.revision
		return f.view.snapshot, nil
	}
	_, sorted := f.decode(response.Kvs)
	return discovery.NewSnapshot(f.name, revision(f.seen), f.view.query, sorted), nil
}

// awaitHub blocks until the hub lives. A watch that is only beginning gives up when the hub has found that
// it cannot; one that waits for the end of an outage does when its time is over.
func (f *follower) awaitHub(ctx context.Context) error {
	for {
		f.hub.lock.Lock()
		live, err, turn := f.live, f.err, f.turn
		f.hub.lock.Unlock()
		switch {
		case live:
			return nil
		case err != nil && (f.seen == 0 || ctx.Err() != nil):
			return err
		}
		select {
		case <-turn:
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return f.registry.fail(f.op, f.name, f.registry.explain(ctx.Err(), 0))
		}
	}
}

// Next waits until the view shows something newer, or lives no more.
func (f *follower) Next(ctx context.Context) (discovery.Snapshot, error) {
	for {
		f.hub.lock.Lock()
		live, err, turn := f.live, f.err, f.turn
		snapshot, revision, era, changed := f.view.snapshot, f.view.revision, f.view.era, f.view.changed
		f.hub.lock.Unlock()
		switch {
		case !live:
			return discovery.Snapshot{}, err
		case revision > f.seen || era != f.era:
			f.seen, f.era = revision, era
			return snapshot, nil
		}
		select {
		case <-changed:
		case <-turn:
		case <-ctx.Done():
			return discovery.Snapshot{}, ctx.Err()
		}
	}
}

// Close leaves the hub.
func (f *follower) Close() { f.registry.hubs.leave(f) }

func byID(a, b discovery.Instance) int { return strings.Compare(a.ID, b.ID) }
