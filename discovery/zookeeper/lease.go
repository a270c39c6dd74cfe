package zookeeper

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// lease is one registration: an ephemeral node on a session of its own. Its session alone makes that node
// and, by ending, removes it, so another's is never hit.
type lease struct {
	backend *backend
	ttl     time.Duration
	granted time.Duration // as of the last session
	session *session      // nil: none
	key     string        // of the node
	former  []int64       // sessions that are lost here, but perhaps not yet at the server
	lost    chan struct{}
}

func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	return &lease{backend: b, ttl: ttl, granted: ttl, lost: make(chan struct{}, 1)}
}

// Lost receives when the server has ended the session.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// current gives the session, and driver.ErrLost when there is none any more.
func (l *lease) current(context.Context) (*session, error) {
	if l.session == nil || l.session.isOver() {
		return nil, driver.ErrLost
	}
	return l.session, nil
}

// room is what a session must be able to send: the record, and what is around it.
func room(record driver.Record) int {
	return leastRoom + 2*len(record.Key) + len(record.Value)
}

// open gives a session that has room for the record, begun if need be.
func (l *lease) open(ctx context.Context, record driver.Record) (*session, error) {
	if l.session != nil && !l.session.isOver() && l.session.room < room(record) {
		if err := l.release(ctx); err != nil {
			return nil, err
		}
	}
	if l.session == nil || l.session.isOver() {
		l.drop()
		s, err := l.backend.begin(l.ttl, 2*room(record))
		if err != nil {
			return nil, err
		}
		l.session = s
		go l.watch(s)
	}
	if err := l.session.await(ctx); err != nil {
		return nil, err
	}
	_, l.granted = l.session.identity()
	return l.session, nil
}

// watch tells when a session is lost.
func (l *lease) watch(s *session) {
	<-s.ended
	if !errors.Is(s.why, driver.ErrClosed) {
		wake(l.lost)
	}
}

// drop forgets a session that is over.
func (l *lease) drop() {
	if l.session == nil {
		return
	}
	if id, _ := l.session.identity(); id != 0 {
		l.former = append(l.former, id)
	}
	l.session = nil
}

// owns reports whether a node is this registration's.
func (l *lease) owns(stat *zk.Stat) bool {
	id, _ := l.session.identity()
	return stat.EphemeralOwner == id && id != 0
}

func (l *lease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	record, err := l.backend.located(ctx, record)
	if err != nil {
		return driver.Grant{}, err
	}
	l.key = record.Key
	open := func(ctx context.Context) (*session, error) { return l.open(ctx, record) }
	err = do(ctx, l.backend.ensemble, open, func(ctx context.Context, s *session) error {
		return l.place(ctx, s, record, takeOver)
	})
	return driver.Grant{TTL: l.granted}, err
}

// errFormer is that a session of ours, which we have lost, still has the node: it goes soon.
var errFormer = discovery.Mark(discovery.ErrUnavailable, errors.New("the node of the lost session is still there"))

// place makes the node, or makes it what it should be.
func (l *lease) place(ctx context.Context, s *session, record driver.Record, takeOver bool) error {
	for {
		_, err := s.create(ctx, record.Key, record.Value, zk.FlagEphemeral)
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		stat, err := s.stat(ctx, record.Key)
		switch {
		case err != nil:
			return err
		case stat == nil:
			continue
		case l.owns(stat):
			_, err = s.set(ctx, record.Key, record.Value, stat.Version)
		case takeOver:
			_, err = s.replace(ctx, record.Key, record.Value, zk.FlagEphemeral, stat)
		case slices.Contains(l.former, stat.EphemeralOwner):
			return errFormer
		default:
			return discovery.ErrConflict
		}
		if !changed(err) {
			return err
		}
	}
}

// Renew looks after the node; the client keeps the session alive.
func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	return do(ctx, l.backend.ensemble, l.current, func(ctx context.Context, s *session) error {
		stat, err := s.stat(ctx, record.Key)
		return l.judge(stat, err)
	})
}

// judge is ErrLost when the node is gone and ErrConflict when it is another's.
func (l *lease) judge(stat *zk.Stat, err error) error {
	switch {
	case missing(err), err == nil && stat == nil:
		return driver.ErrLost
	case err != nil:
		return err
	case !l.owns(stat):
		return discovery.ErrConflict
	}
	return nil
}

// Update rewrites the node over the shared connection, which has room for what is read.
func (l *lease) Update(ctx context.Context, record driver.Record) error {
	record, err := l.backend.located(ctx, record)
	if err != nil {
		return err
	}
	return do(ctx, l.backend.ensemble, l.backend.shared, func(ctx context.Context, s *session) error {
		for {
			if err := s.sync(ctx); err != nil {
				return err
			}
			was, err := s.get(ctx, record.Key)
			if err := l.judge(was.stat, err); err != nil {
				return err
			}
			value, err := record.Over(was.data)
			if err != nil {
				return err
			}
			if _, err = s.set(ctx, record.Key, value, was.stat.Version); !changed(err) {
				return err
			}
		}
	})
}

// release ends the session at the server, and with it the node. If it cannot be reached, both stay for their
// time.
func (l *lease) release(ctx context.Context) error {
	s := l.session
	if s == nil || s.isOver() {
		return nil
	}
	id, _ := s.identity()
	if id == 0 { // it had not begun
		s.abandon()
		l.session = nil
		return nil
	}
	s.reconnectNow() // a server may be there again, and ctx ends soon
	err := do(ctx, l.backend.ensemble, l.current, l.remove)
	if err != nil && !errors.Is(err, driver.ErrLost) {
		s.abandon()
		l.drop()
		return err
	}
	s.close()
	l.session = nil
	return nil
}

// remove removes the node if it is there and the own. The end of the session would do that, too, but the
// library does not tell whether the server has heard of it.
func (l *lease) remove(ctx context.Context, s *session) error {
	stat, err := s.stat(ctx, l.key)
	if err := l.judge(stat, err); err != nil {
		if errors.Is(err, driver.ErrLost) || errors.Is(err, discovery.ErrConflict) {
			return nil
		}
		return err
	}
	if err := s.delete(ctx, l.key, stat.Version); !changed(err) {
		return err
	}
	return nil
}

// Deregister ends the session, and with it the node if it is still there.
func (l *lease) Deregister(ctx context.Context) error { return l.release(ctx) }

// Detach ends the session here alone.
func (l *lease) Detach() {
	if l.session != nil {
		l.session.abandon()
	}
}
