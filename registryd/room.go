package registryd

import (
	"context"
	"errors"
	"sync"
	"time"
)

// What is on its way to and from clients at a time, in bytes. Answers that many read are there once.
const (
	mostInFlight     = 64 << 20
	mostInFlightEach = mostInFlight / 8 // of one connection
	smallAnswer      = 16 << 10         // is not counted: the server buffers as much
	roomTime         = 5 * time.Second  // is waited for
)

var errNoRoom = errors.New("the answers and bodies on their way need all the memory that is for them, try again")

// room bounds the memory of what is on its way. An owner, which is a connection, has no more than a share of it.
type room struct {
	lock    sync.Mutex
	all     int64
	left    int64
	each    int64
	byOwner map[any]int64
	changed chan struct{} // closed when there is more
}

func newRoom(all, each int64) *room {
	return &room{all: all, left: all, each: each, byOwner: map[any]int64{}, changed: make(chan struct{})}
}

// take waits until there are n bytes for an owner; nil is a part of the server. Give ends it and may be called
// twice.
func (r *room) take(ctx context.Context, owner any, n int64) (give func(), err error) {
	if n <= smallAnswer {
		return func() {}, nil
	}
	n = r.share(owner, n)
	timeout := time.NewTimer(roomTime)
	defer timeout.Stop()
	for {
		changed, ok := r.try(owner, n)
		if ok {
			return sync.OnceFunc(func() { r.give(owner, n) }), nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return nil, errNoRoom
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeNow is take without waiting.
func (r *room) takeNow(owner any, n int64) (give func(), ok bool) {
	if n <= smallAnswer {
		return func() {}, true
	}
	n = r.share(owner, n)
	if _, ok := r.try(owner, n); !ok {
		return nil, false
	}
	return sync.OnceFunc(func() { r.give(owner, n) }), true
}

// share is what is counted of n bytes: more than there will ever be for an owner gets in alone.
func (r *room) share(owner any, n int64) int64 {
	if owner != nil {
		return min(n, r.each)
	}
	return min(n, r.all)
}

func (r *room) try(owner any, n int64) (changed <-chan struct{}, ok bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if n > r.left || owner != nil && r.byOwner[owner]+n > r.each {
		return r.changed, false
	}
	r.left -= n
	if owner != nil {
		r.byOwner[owner] += n
	}
	return nil, true
}

func (r *room) give(owner any, n int64) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.left += n
	if owner != nil {
		if r.byOwner[owner] -= n; r.byOwner[owner] == 0 {
			delete(r.byOwner, owner)
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// sharedAnswer is an encoded answer that many may be reading: it takes its room once.
type sharedAnswer struct {
	data []byte

	lock    sync.Mutex
	readers int
	give    func()
}

// read takes the room for an answer as long as somebody reads it; done ends that.
func (a *sharedAnswer) read(ctx context.Context, r *room) (done func(), err error) {
	if !a.join(nil) {
		give, err := r.take(ctx, nil, int64(len(a.data)))
		if err != nil {
			return nil, err
		}
		a.join(give)
	}
	return sync.OnceFunc(a.leave), nil
}

// join adds a reader, if there are some or this one has taken the room.
func (a *sharedAnswer) join(give func()) bool {
	a.lock.Lock()
	defer a.lock.Unlock()
	switch {
	case a.readers == 0 && give == nil:
		return false
	case a.readers == 0:
		a.give = give
	case give != nil: // another one was faster
		give()
	}
	a.readers++
	return true
}

func (a *sharedAnswer) leave() {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.readers--; a.readers == 0 {
		a.give()
	}
}
