package ensemble

import (
	"context"
	"sync"

	"github.com/go-zookeeper/zk"
)

// watches hands on the events of a session's watches. A watch of ZooKeeper fires once and is then gone; the library
// cannot cancel one, so those that are still set are remembered and not set twice.
type watches struct {
	lock    sync.Mutex
	events  uint64 // counts events
	set     map[watch]bool
	readers map[string]map[*Reader]bool // by path
}

// watch is one that the server keeps.
type watch struct {
	kind watchKind
	path string
}

type watchKind int

const (
	ofData watchKind = iota
	ofCreation
	ofChildren
)

// Reader receives the changes of some paths. Who has it closes it.
type Reader struct {
	watches *watches
	wake    chan struct{} // receives when a path has changed

	// Under the lock of watches.
	paths   map[string]bool
	changed map[string]bool // paths that have changed since take
}

func newWatches() *watches {
	return &watches{set: map[watch]bool{}, readers: map[string]map[*Reader]bool{}}
}

// deliver takes an event of the library.
func (w *watches) deliver(e zk.Event) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.events++
	switch e.Type {
	case zk.EventNodeCreated:
		delete(w.set, watch{ofCreation, e.Path})
	case zk.EventNodeDataChanged:
		delete(w.set, watch{ofCreation, e.Path})
		delete(w.set, watch{ofData, e.Path})
	case zk.EventNodeChildrenChanged:
		delete(w.set, watch{ofChildren, e.Path})
	case zk.EventNodeDeleted:
		for _, kind := range []watchKind{ofData, ofCreation, ofChildren} {
			delete(w.set, watch{kind, e.Path})
		}
	}
	for r := range w.readers[e.Path] {
		r.changed[e.Path] = true
		wake(r.wake)
	}
}

// isSet reports whether the server keeps a watch, and counts the events so far.
func (w *watches) isSet(kind watchKind, path string) (bool, uint64) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.set[watch{kind, path}], w.events
}

// remember notes a watch that was set, unless there was an event since: it may have been that watch's.
func (w *watches) remember(kind watchKind, path string, events uint64) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.events == events {
		w.set[watch{kind, path}] = true
	}
}

// distrust forgets a watch on what must not be read: of its changes the server sends no event, and they use the
// watch up.
func (w *watches) distrust(kind watchKind, path string, err error) {
	if !Denied(err) {
		return
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.set, watch{kind, path})
}

// Reader gives a reader of no paths yet.
func (s *Session) Reader() *Reader {
	return &Reader{watches: s.watches, wake: make(chan struct{}, 1), paths: map[string]bool{}, changed: map[string]bool{}}
}

// Add subscribes to a path: before the watch is set, so that nothing is missed.
func (r *Reader) Add(path string) {
	r.watches.lock.Lock()
	defer r.watches.lock.Unlock()
	r.paths[path] = true
	all := r.watches.readers[path]
	if all == nil {
		all = map[*Reader]bool{}
		r.watches.readers[path] = all
	}
	all[r] = true
}

// Remove unsubscribes from a path.
func (r *Reader) Remove(path string) {
	r.watches.lock.Lock()
	defer r.watches.lock.Unlock()
	delete(r.paths, path)
	delete(r.changed, path)
	r.detach(path)
}

func (r *Reader) detach(path string) {
	all := r.watches.readers[path]
	if delete(all, r); len(all) == 0 {
		delete(r.watches.readers, path)
	}
}

// Take gives the paths that have changed since the last call.
func (r *Reader) Take() map[string]bool {
	r.watches.lock.Lock()
	defer r.watches.lock.Unlock()
	changed := r.changed
	r.changed = map[string]bool{}
	return changed
}

// Changed gives a channel that receives when a path has changed, or after Wake.
func (r *Reader) Changed() <-chan struct{} { return r.wake }

// Wake ends a wait for changes, now or later.
func (r *Reader) Wake() { wake(r.wake) }

// Close unsubscribes from all paths.
func (r *Reader) Close() {
	r.watches.lock.Lock()
	defer r.watches.lock.Unlock()
	for path := range r.paths {
		r.detach(path)
	}
}

// wake ends a wait, now or later.
func wake(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}

// GetWatched reads a node with a watch on it. That it is missing is not watched.
func (s *Session) GetWatched(ctx context.Context, path string) (Node, error) {
	return watched(ctx, s, watch{ofData, path}, s.Get, func(c *zk.Conn) (Node, error) {
		data, stat, _, err := c.GetW(path)
		return Node{data, stat}, err
	})
}

// ChildrenWatched lists what is below a node with a watch on that. That it is missing is not watched.
func (s *Session) ChildrenWatched(ctx context.Context, path string) (List, error) {
	return watched(ctx, s, watch{ofChildren, path}, s.Children, func(c *zk.Conn) (List, error) {
		names, stat, _, err := c.ChildrenW(path)
		return List{names, stat}, err
	})
}

// watched reads by get what the server keeps a watch on already, and else by getW, which sets it.
func watched[T any](ctx context.Context, s *Session, w watch, get func(context.Context, string) (T, error), getW func(*zk.Conn) (T, error)) (T, error) {
	set, events := s.watches.isSet(w.kind, w.path)
	if set {
		value, err := get(ctx, w.path)
		s.watches.distrust(w.kind, w.path, err)
		return value, err
	}
	value, err := ask(ctx, s, getW)
	if err == nil {
		s.watches.remember(w.kind, w.path, events)
	}
	return value, err
}

// ExistsWatched looks whether there is a node, with a watch on its coming or going.
func (s *Session) ExistsWatched(ctx context.Context, path string) (bool, error) {
	set, events := s.watches.isSet(ofCreation, path)
	if set {
		stat, err := s.Stat(ctx, path)
		return stat != nil, err
	}
	exists, err := ask(ctx, s, func(c *zk.Conn) (bool, error) {
		exists, _, _, err := c.ExistsW(path)
		return exists, err
	})
	if err == nil && exists {
		s.watches.remember(ofData, path, events)
	} else if err == nil {
		s.watches.remember(ofCreation, path, events)
	}
	return exists, err
}

// OrMissing reads by get, which does not watch for a node that is missing, and sees to that it is watched for
// too. found is false when it is missing.
func OrMissing[T any](ctx context.Context, s *Session, path string, get func(context.Context, string) (T, error)) (value T, found bool, err error) {
	for {
		value, err = get(ctx, path)
		if !Missing(err) {
			return value, err == nil, err
		}
		exists, err := s.ExistsWatched(ctx, path)
		if err != nil || !exists {
			return value, false, err
		}
	}
}
