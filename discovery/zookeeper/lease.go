package zookeeper

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
)

// lease is one registration: an ephemeral node on a session of its own. Its session alone makes that node
// and, by ending, removes it, so another's is never hit.
type lease struct {
	backend *backend
	ttl     time.Duration
	granted time.Duration     // as of the last session
	session *ensemble.Session // nil: none
	key     string            // of the node
	former  []int64           // sessions that are lost here, but perhaps not yet at the server
	lost    chan struct{}
}

func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	return &lease{backend: b, ttl: ttl, granted: ttl, lost: make(chan struct{}, 1)}
}

// Lost receives when the server has ended the session.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// current gives the session, and driver.ErrLost when there is none any more.
func (l *lease) current(context.Context) (*ensemble.Session, error) {
	if l.session == nil || l.session.IsOver() {
		return nil, driver.ErrLost
	}
	return l.session, nil
}

// room is what a session must be able to send: the record, and what is around it.
func room(record driver.Record) int {
	return ensemble.LeastRoom + 2*len(record.Key) + len(record.Value)
}

// open gives a session that has room for the record, begun if need be.
func (l *lease) open(ctx context.Context, record driver.Record) (*ensemble.Session, error) {
	if l.session != nil && !l.session.IsOver() && l.session.Room() < room(record) {
		if err := l.release(ctx); err != nil {
			return nil, err
		}
	}
	if l.session == nil || l.session.IsOver() {
		l.drop()
		s, err := l.backend.Begin(l.ttl, 2*room(record))
		if err != nil {
			return nil, err
		}
		l.session = s
		go s.NotifyLoss(l.lost)
	}
	if err := l.session.Await(ctx); err != nil {
		return nil, err
	}
	_, l.granted = l.session.Identity()
	return l.session, nil
}

// drop forgets a session that is over.
func (l *lease) drop() {
	if l.session == nil {
		return
	}
	if id, _ := l.session.Identity(); id != 0 {
		l.former = append(l.former, id)
	}
	l.session = nil
}

// owns reports whether a node is this registration's.
func (l *lease) owns(stat *zk.Stat) bool {
	id, _ := l.session.Identity()
	return stat.EphemeralOwner == id && id != 0
}

func (l *lease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	record, err := l.backend.located(ctx, record)
	if err != nil {
		return driver.Grant{}, err
	}
	l.key = record.Key
	open := func(ctx context.Context) (*ensemble.Session, error) { return l.open(ctx, record) }
	err = ensemble.Do(ctx, l.backend.Ensemble, open, func(ctx context.Context, s *ensemble.Session) error {
		return l.place(ctx, s, record, takeOver)
	})
	return driver.Grant{TTL: l.granted}, err
}

// errFormer is that a session of ours, which we have lost, still has the node: it goes soon.
var errFormer = discovery.Mark(discovery.ErrUnavailable, errors.New("the node of the lost session is still there"))

// place makes the node, or makes it what it should be.
func (l *lease) place(ctx context.Context, s *ensemble.Session, record driver.Record, takeOver bool) error {
	for {
		_, err := s.Create(ctx, record.Key, record.Value, zk.FlagEphemeral)
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		stat, err := s.Stat(ctx, record.Key)
		switch {
		case err != nil:
			return err
		case stat == nil:
			continue
		case l.owns(stat):
			_, err = s.Set(ctx, record.Key, record.Value, stat.Version)
		case takeOver:
			_, err = s.Replace(ctx, record.Key, record.Value, zk.FlagEphemeral, stat)
		case slices.Contains(l.former, stat.EphemeralOwner):
			return errFormer
		default:
			return discovery.ErrConflict
		}
		if !ensemble.Changed(err) {
			return err
		}
	}
}

// Renew looks after the node; the client keeps the session alive.
func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	return ensemble.Do(ctx, l.backend.Ensemble, l.current, func(ctx context.Context, s *ensemble.Session) error {
		stat, err := s.Stat(ctx, record.Key)
		return l.judge(stat, err)
	})
}

// judge is ErrLost when the node is gone and ErrConflict when it is another's.
func (l *lease) judge(stat *zk.Stat, err error) error {
	if ensemble.IgnoreMissing(err) != nil {
		return err
	}
	there := err == nil && stat != nil
	return driver.Own(there, there && l.owns(stat))
}

// Update rewrites the node over the shared connection, which has room for what is read.
func (l *lease) Update(ctx context.Context, record driver.Record) error {
	record, err := l.backend.located(ctx, record)
	if err != nil {
		return err
	}
	return ensemble.Do(ctx, l.backend.Ensemble, l.backend.Shared, func(ctx context.Context, s *ensemble.Session) error {
		for {
			if err := s.Sync(ctx); err != nil {
				return err
			}
			was, err := s.Get(ctx, record.Key)
			if err := l.judge(was.Stat, err); err != nil {
				return err
			}
			value, err := record.Over(was.Data)
			if err != nil {
				return err
			}
			if _, err = s.Set(ctx, record.Key, value, was.Stat.Version); !ensemble.Changed(err) {
				return err
			}
		}
	})
}

// release ends the session at the server, and with it the node. If it cannot be reached, both stay for their
// time.
func (l *lease) release(ctx context.Context) error {
	s := l.session
	if s == nil || s.IsOver() {
		return nil
	}
	id, _ := s.Identity()
	if id == 0 { // it had not begun
		s.Abandon()
		l.session = nil
		return nil
	}
	s.ReconnectNow() // a server may be there again, and ctx ends soon
	err := ensemble.Do(ctx, l.backend.Ensemble, l.current, l.remove)
	if err != nil && !errors.Is(err, driver.ErrLost) {
		s.Abandon()
		l.drop()
		return err
	}
	s.Close()
	l.session = nil
	return nil
}

// remove removes the node if it is there and the own. The end of the session would do that, too, but the
// library does not tell whether the server has heard of it.
func (l *lease) remove(ctx context.Context, s *ensemble.Session) error {
	stat, err := s.Stat(ctx, l.key)
	if err := l.judge(stat, err); err != nil {
		if errors.Is(err, driver.ErrLost) || errors.Is(err, discovery.ErrConflict) {
			return nil
		}
		return err
	}
	if err := s.Delete(ctx, l.key, stat.Version); !ensemble.Changed(err) {
		return err
	}
	return nil
}

// Deregister ends the session, and with it the node if it is still there.
func (l *lease) Deregister(ctx context.Context) error { return l.release(ctx) }

// Detach ends the session here alone.
func (l *lease) Detach() {
	if l.session != nil {
		l.session.Abandon()
	}
}
