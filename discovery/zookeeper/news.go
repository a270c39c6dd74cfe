package zookeeper

import (
	"context"
	"sync"

	"github.com/go-zookeeper/zk"
)

// news hands on what a session's watches tell. A watch of ZooKeeper tells one change and is then gone; the
// library knows no way to take one back, so those that are still set are remembered and not set twice.
type news struct {
	lock    sync.Mutex
	told    uint64 // counts what was told
	set     map[watch]bool
	readers map[string]map[*reader]bool // by path
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

// reader is somebody who wants to know of some paths. Who has it closes it.
type reader struct {
	news *news
	wake chan struct{} // receives when there is news

	// Under the lock of news.
	paths map[string]bool
	fresh map[string]bool // paths of which there is news
}

func newNews() *news {
	return &news{set: map[watch]bool{}, readers: map[string]map[*reader]bool{}}
}

// tell takes an event of the library.
func (n *news) tell(e zk.Event) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.told++
	switch e.Type {
	case zk.EventNodeCreated:
		delete(n.set, watch{ofCreation, e.Path})
	case zk.EventNodeDataChanged:
		delete(n.set, watch{ofCreation, e.Path})
		delete(n.set, watch{ofData, e.Path})
	case zk.EventNodeChildrenChanged:
		delete(n.set, watch{ofChildren, e.Path})
	case zk.EventNodeDeleted:
		for _, kind := range []watchKind{ofData, ofCreation, ofChildren} {
			delete(n.set, watch{kind, e.Path})
		}
	}
	for r := range n.readers[e.Path] {
		r.fresh[e.Path] = true
		poke(r.wake)
	}
}

// isSet reports whether the server keeps a watch, and how much was told so far.
func (n *news) isSet(kind watchKind, path string) (bool, uint64) {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.set[watch{kind, path}], n.told
}

// note remembers a watch that was set, unless something was told since: that may have been what it told.
func (n *news) note(kind watchKind, path string, told uint64) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.told == told {
		n.set[watch{kind, path}] = true
	}
}

// distrust forgets a watch on what must not be read: of that the server tells nothing, and a change that it does
// not tell uses the watch up.
func (n *news) distrust(kind watchKind, path string, err error) {
	if !denied(err) {
		return
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	delete(n.set, watch{kind, path})
}

func (n *news) reader() *reader {
	return &reader{news: n, wake: make(chan struct{}, 1), paths: map[string]bool{}, fresh: map[string]bool{}}
}

// add tells the reader of a path from now on: before the watch is set, so that nothing is missed.
func (r *reader) add(path string) {
	r.news.lock.Lock()
	defer r.news.lock.Unlock()
	r.paths[path] = true
	all := r.news.readers[path]
	if all == nil {
		all = map[*reader]bool{}
		r.news.readers[path] = all
	}
	all[r] = true
}

// remove tells it no more.
func (r *reader) remove(path string) {
	r.news.lock.Lock()
	defer r.news.lock.Unlock()
	delete(r.paths, path)
	delete(r.fresh, path)
	r.leave(path)
}

func (r *reader) leave(path string) {
	all := r.news.readers[path]
	if delete(all, r); len(all) == 0 {
		delete(r.news.readers, path)
	}
}

// take gives the paths of which there is news.
func (r *reader) take() map[string]bool {
	r.news.lock.Lock()
	defer r.news.lock.Unlock()
	fresh := r.fresh
	r.fresh = map[string]bool{}
	return fresh
}

func (r *reader) close() {
	r.news.lock.Lock()
	defer r.news.lock.Unlock()
	for path := range r.paths {
		r.leave(path)
	}
}

// poke wakes who waits, now or later.
func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// getWatched reads a node with a watch on it. That it is missing is not watched.
func (s *session) getWatched(ctx context.Context, path string) (node, error) {
	set, told := s.news.isSet(ofData, path)
	if set {
		n, err := s.get(ctx, path)
		s.news.distrust(ofData, path, err)
		return n, err
	}
	n, err := ask(ctx, s, func(c *zk.Conn) (node, error) {
		data, stat, _, err := c.GetW(path)
		return node{data, stat}, err
	})
	if err == nil {
		s.news.note(ofData, path, told)
	}
	return n, err
}

// childrenWatched lists what is below a node with a watch on that. That it is missing is not watched.
func (s *session) childrenWatched(ctx context.Context, path string) (list, error) {
	set, told := s.news.isSet(ofChildren, path)
	if set {
		l, err := s.children(ctx, path)
		s.news.distrust(ofChildren, path, err)
		return l, err
	}
	l, err := ask(ctx, s, func(c *zk.Conn) (list, error) {
		names, stat, _, err := c.ChildrenW(path)
		return list{names, stat}, err
	})
	if err == nil {
		s.news.note(ofChildren, path, told)
	}
	return l, err
}

// existsWatched looks whether there is a node, with a watch on its coming or going.
func (s *session) existsWatched(ctx context.Context, path string) (bool, error) {
	set, told := s.news.isSet(ofCreation, path)
	if set {
		stat, err := s.stat(ctx, path)
		return stat != nil, err
	}
	exists, err := ask(ctx, s, func(c *zk.Conn) (bool, error) {
		exists, _, _, err := c.ExistsW(path)
		return exists, err
	})
	if err == nil && exists {
		s.news.note(ofData, path, told)
	} else if err == nil {
		s.news.note(ofCreation, path, told)
	}
	return exists, err
}

// orMissing reads by get, which does not watch for a node that is missing, and sees to that it is watched for
// too. found is false when it is missing.
func orMissing[T any](ctx context.Context, s *session, path string, get func(context.Context, string) (T, error)) (value T, found bool, err error) {
	for {
		value, err = get(ctx, path)
		if !missing(err) {
			return value, err == nil, err
		}
		exists, err := s.existsWatched(ctx, path)
		if err != nil || !exists {
			return value, false, err
		}
	}
}
