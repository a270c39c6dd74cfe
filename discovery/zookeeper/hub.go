package zookeeper

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// hubs are the services that are watched in a registry: all watches of one share what was read of it, and the
// server's watches.
type hubs struct {
	lock      sync.Mutex
	byService map[string]*hub
}

// hub follows a service for all who watch it.
type hub struct {
	registry *registry
	service  string
	path     string // of the service's node
	end      context.CancelFunc
	watches  int // under the lock of hubs

	// Of the goroutine that runs the hub.
	nodes  map[string]known // by name
	newest int64            // change
	exists bool

	lock  sync.Mutex
	now   *state
	turn  chan struct{} // closed when now changes
	calls []chan error  // of those who want a state that is newer than their call
	wake  chan struct{} // receives when there are such
}

// known is a record as it was last read.
type known struct {
	change   change // its last one
	instance discovery.Instance
	ok       bool // it is no malformed one
	denied   bool // it must not be read
}

// change identifies what stands at a node. The number of the change alone does not, when the ensemble has lost
// its data.
type change struct{ zxid, time, owner int64 }

func changeOf(stat *zk.Stat) change { return change{stat.Mzxid, stat.Mtime, stat.EphemeralOwner} }

// state is the service at one moment.
type state struct {
	number   int   // counts them
	err      error // why this is not what the registry holds, as far as it has told
	revision string
	never    bool
	all      []discovery.Instance

	lock  sync.Mutex
	views map[string]discovery.Snapshot // by query; those with the same query share it
}

// view gives what a query sees.
func (s *state) view(service string, q discovery.Query) discovery.Snapshot {
	key := fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All)
	s.lock.Lock()
	defer s.lock.Unlock()
	snapshot, ok := s.views[key]
	if !ok {
		snapshot = discovery.NewSnapshot(service, s.revision, q, s.all)
		snapshot.Never = s.never
		s.views[key] = snapshot
	}
	return snapshot
}

// join gives a follower of a service; who has it closes it.
func (h *hubs) join(r *registry, service, path string, q discovery.Query) *follower {
	h.lock.Lock()
	defer h.lock.Unlock()
	one := h.byService[service]
	joining := one != nil
	if !joining {
		one = &hub{
			registry: r,
			service:  service,
			path:     path,
			nodes:    map[string]known{},
			now:      &state{},
			turn:     make(chan struct{}),
			wake:     make(chan struct{}, 1),
		}
		h.byService[service] = one
		ctx, end := context.WithCancel(context.Background())
		one.end = end
		r.group.Go(ctx, one.run)
	}
	one.watches++
	return &follower{hub: one, query: q, joining: joining}
}

// leave ends the hub when nobody watches any more.
func (h *hubs) leave(one *hub) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if one.watches--; one.watches == 0 {
		delete(h.byService, one.service)
		one.end()
	}
}

// run follows the service until nobody watches it.
func (h *hub) run(ctx context.Context) {
	var backoff discovery.Backoff
	limit := h.registry.config.Timeout
	for ctx.Err() == nil {
		s, err := h.registry.connected(ctx, "watch service", h.service, limit)
		if err == nil {
			if err = h.follow(ctx, s, &backoff); err == nil {
				limit = grace
				continue // another connection may be there at once
			}
			err = h.fail(err)
		}
		if ctx.Err() != nil {
			return
		}
		h.publish(err)
		limit = h.registry.config.Timeout
		if backoff.Wait(ctx) != nil {
			return
		}
	}
}

func (h *hub) fail(err error) error {
	return h.registry.fail("watch service", h.service, h.registry.explain(err, 0))
}

// follow reads all, and then takes over changes for as long as the session lasts, which gives nil. An error is
// one of the first reading, or that reading is denied.
func (h *hub) follow(ctx context.Context, s *session, backoff *discovery.Backoff) error {
	reader := s.news.reader()
	defer reader.close()
	reader.add(h.path)
	for name := range h.nodes {
		reader.add(join(h.path, name))
	}
	calls := h.waiting()
	if err := h.load(ctx, s, reader); err != nil {
		return err
	}
	backoff.Reset()
	h.publish(nil)
	h.answer(calls, nil)
	for {
		select {
		case <-reader.wake:
		case <-h.wake:
		case <-s.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
		calls = h.waiting() // what they have seen, the reader has been told of
		changed, err := h.take(ctx, s, reader)
		switch {
		case s.isOver() || ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case changed:
			h.publish(nil)
		}
		h.answer(calls, nil)
	}
}

// load reads all anew.
func (h *hub) load(ctx context.Context, s *session, reader *reader) error {
	for {
		user := s.user()
		err := s.sync(ctx)
		if err == nil {
			_, err = h.list(ctx, s, reader, nil)
		}
		if !denied(err) || !s.loginAnew(ctx, user) {
			return err
		}
	}
}

// take reads what there is news of and reports whether anything changed.
func (h *hub) take(ctx context.Context, s *session, reader *reader) (bool, error) {
	fresh := reader.take()
	if fresh[h.path] {
		return h.list(ctx, s, reader, fresh)
	}
	var names []string
	for name := range h.nodes {
		if fresh[join(h.path, name)] {
			names = append(names, name)
		}
	}
	return h.read(ctx, s, reader, names)
}

// list reads which nodes there are, and those that are new, in fresh, or were denied, on which no watch can be
// set; all of them when fresh is nil.
func (h *hub) list(ctx context.Context, s *session, reader *reader, fresh map[string]bool) (bool, error) {
	below, found, err := orMissing(ctx, s, h.path, s.childrenWatched)
	if err != nil {
		return false, err
	}
	if fresh == nil {
		h.newest = 0 // the ensemble may have lost its data
	}
	changed := found != h.exists
	if h.exists = found; found {
		h.newest = max(h.newest, below.stat.Pzxid)
	}
	there := make(map[string]bool, len(below.names))
	var names []string
	for _, name := range below.names {
		there[name] = true
		if was, had := h.nodes[name]; !had || was.denied || fresh == nil || fresh[join(h.path, name)] {
			names = append(names, name)
		}
	}
	for name := range h.nodes {
		if !there[name] {
			h.forget(name, reader)
			changed = true
		}
	}
	read, err := h.read(ctx, s, reader, names)
	return changed || read, err
}

// read reads nodes and reports whether one of them changed.
func (h *hub) read(ctx context.Context, s *session, reader *reader, names []string) (changed bool, err error) {
	for _, name := range names {
		reader.add(join(h.path, name))
	}
	results, err := readEach(ctx, s, h.path, names, s.getWatched)
	if err != nil {
		return false, err
	}
	for _, one := range results {
		changed = h.replace(one, reader) || changed
	}
	if h.allDenied() {
		return changed, zk.ErrNoAuth
	}
	return changed, nil
}

// allDenied reports whether there are nodes, and none that may be read.
func (h *hub) allDenied() bool {
	for _, one := range h.nodes {
		if !one.denied {
			return false
		}
	}
	return len(h.nodes) > 0
}

// replace takes over what was read of a node.
func (h *hub) replace(read result[node], reader *reader) bool {
	was, had := h.nodes[read.name]
	path, n := join(h.path, read.name), read.value
	switch {
	case missing(read.err): // the list tells when it is there again
		h.forget(read.name, reader)
		return had
	case denied(read.err):
		if !was.denied {
			h.registry.warnDenied(path)
		}
		h.nodes[read.name] = known{denied: true}
		return was.ok
	}
	h.newest = max(h.newest, n.stat.Mzxid)
	if had && was.change == changeOf(n.stat) {
		return false
	}
	in, ok := layout.DecodeOne(h.registry.layout, h.registry.config.Log, layout.Record{Key: path, Value: n.data})
	h.nodes[read.name] = known{change: changeOf(n.stat), instance: in, ok: ok}
	return true
}

func (h *hub) forget(name string, reader *reader) {
	delete(h.nodes, name)
	reader.remove(join(h.path, name))
}

// publish makes what was read the present state; or, with an error, says that it is so no more.
func (h *hub) publish(err error) {
	h.lock.Lock()
	next := &state{number: h.now.number + 1, err: err, views: map[string]discovery.Snapshot{}}
	if err == nil {
		next.revision, next.never = revision(h.newest), !h.exists
		next.all = make([]discovery.Instance, 0, len(h.nodes))
		for _, one := range h.nodes {
			if one.ok {
				next.all = append(next.all, one.instance)
			}
		}
	}
	h.now = next
	close(h.turn)
	h.turn = make(chan struct{})
	h.lock.Unlock()
	if err != nil {
		h.answer(h.waiting(), err)
	}
}

// current gives the present state, and a channel that is closed when there is another.
func (h *hub) current() (*state, <-chan struct{}) {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.now, h.turn
}

// call wants a state that is newer than this; the channel gets nil when it is there.
func (h *hub) call() <-chan error {
	answer := make(chan error, 1)
	h.lock.Lock()
	defer h.lock.Unlock()
	h.calls = append(h.calls, answer)
	poke(h.wake)
	return answer
}

// waiting gives those who have called. They stay until they are answered.
func (h *hub) waiting() int {
	h.lock.Lock()
	defer h.lock.Unlock()
	return len(h.calls)
}

// answer answers the first of them.
func (h *hub) answer(count int, err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, one := range h.calls[:count] {
		one <- err
	}
	h.calls = h.calls[count:]
}

// follower is one watch of a service: the source of driver.WatchSnapshots.
type follower struct {
	*hub
	query   discovery.Query
	joining bool // the hub was there before it, so what it holds may be older than the watch
	begun   bool
	seen    int // the state that was delivered last
	last    discovery.Snapshot
}

// Read waits for a state that is as new as the call. While an outage lasts, one that had begun goes on waiting.
func (f *follower) Read(ctx context.Context) (discovery.Snapshot, error) {
	r := f.registry
	ctx, cancel := context.WithTimeout(ctx, 2*r.config.Timeout)
	defer cancel()
	if f.joining && !f.begun {
		if _, err := call(ctx, r, "watch service", f.service, r.connection.get, syncOnly); err != nil {
			return f.last, err
		}
	}
	for {
		var err error
		select {
		case err = <-f.hub.call():
		case <-ctx.Done():
			err = f.fail(ctx.Err())
		}
		now, _ := f.current()
		switch {
		case err == nil && now.err == nil:
			f.begun, f.seen, f.last = true, now.number, now.view(f.service, f.query)
			return f.last, nil
		case err != nil && (!f.begun || ctx.Err() != nil):
			return f.last, err
		}
	}
}

// Next waits until there is something newer, or what there is lives no more.
func (f *follower) Next(ctx context.Context) (discovery.Snapshot, error) {
	for {
		now, turn := f.current()
		if now.number > f.seen {
			if now.err != nil {
				return f.last, now.err
			}
			f.seen = now.number
			if view := now.view(f.service, f.query); !f.narrow() || !driver.SameInstances(f.last, view) {
				f.last = view
				return view, nil
			}
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return f.last, ctx.Err()
		}
	}
}

// narrow reports whether most changes are not for this watch.
func (f *follower) narrow() bool { return f.query.Shard != "" || len(f.query.Tags) > 0 }

// Close leaves the hub.
func (f *follower) Close() { f.registry.hubs.leave(f.hub) }
