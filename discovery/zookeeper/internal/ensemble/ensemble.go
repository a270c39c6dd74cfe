// Package ensemble is a ZooKeeper ensemble as the engine asks it: sessions and their watches by go-zookeeper, connected
// by the registry's URL and logged in here, nodes, and errors that have a kind.
package ensemble

import (
	"context"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// DefaultPort is where ZooKeeper listens.
const DefaultPort = 2181

// sharedTimeout is the time-out of the shared session: a server that says nothing for two thirds of it is taken for
// gone.
const sharedTimeout = 6 * time.Second

// Ensemble is the servers of a registry. Its methods may be called by many goroutines.
type Ensemble struct {
	config discovery.Config
	access func() []zk.ACL // of the nodes that are made
	hosts  *hosts

	lock     sync.Mutex // no session is begun once closed
	closed   bool
	current  *Session // the shared one; nil: none was begun yet
	sessions sync.WaitGroup
}

// New makes an ensemble, which connects with the first call; access says who may use the nodes that are made. Who has it
// closes it.
func New(config discovery.Config, access func() []zk.ACL) *Ensemble {
	return &Ensemble{config: config, access: access, hosts: newHosts(config)}
}

// Opener gives the session to ask.
type Opener func(context.Context) (*Session, error)

// Shared opens the session for all but ephemeral nodes. When its connection is lost it is given up, and with it every
// watch, and the next call begins another.
func (e *Ensemble) Shared(context.Context) (*Session, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.current == nil || e.current.IsOver() {
		s, err := e.beginLocked(sharedTimeout, true, sharedRoom)
		if err != nil {
			return nil, err
		}
		e.current = s
	}
	return e.current, nil
}

// Connected gives the shared session once it is connected, for which it waits no longer than limit.
func (e *Ensemble) Connected(ctx context.Context, limit time.Duration) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return Call(ctx, e, e.Shared, func(ctx context.Context, s *Session) (*Session, error) {
		return s, s.Await(ctx)
	})
}

// Begin begins a session for ephemeral nodes, which has a connection of its own. Asked is its time-out, and room is
// what it must be able to send, in bytes. Who has it closes or abandons it.
func (e *Ensemble) Begin(asked time.Duration, room int) (*Session, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.beginLocked(asked, false, room)
}

// Close ends the shared session, and waits for the end of the others. Later calls are driver.ErrClosed.
func (e *Ensemble) Close() error {
	e.lock.Lock()
	e.closed = true
	current := e.current
	e.lock.Unlock()
	if current != nil {
		current.Close()
	}
	e.sessions.Wait()
	return nil
}

// Call asks the ensemble within the registry's time and gives its error a kind. ask is called again after
// its connection broke, when it may have been carried out.
func Call[T any](ctx context.Context, e *Ensemble, open Opener, ask func(context.Context, *Session) (T, error)) (T, error) {
	return driver.Call(ctx, e.config.Timeout, e, func(ctx context.Context) (T, error) {
		var backoff discovery.Backoff
		for first := true; ; first = false {
			var answer T
			var user discovery.Credentials
			s, err := open(ctx)
			if err == nil {
				user = s.user()
				answer, err = askUnlessRefused(ctx, s, first, ask)
			}
			switch {
			case err == nil:
				return answer, nil
			case Denied(err) && s.loginAnew(ctx, user):
				continue
			case Broken(err) && backoff.Wait(ctx) == nil:
				continue
			case Broken(err) && ctx.Err() != nil:
				err = ctx.Err()
			}
			return answer, inTheWay(err)
		}
	})
}

// Do is Call for what has no answer.
func Do(ctx context.Context, e *Ensemble, open Opener, ask func(context.Context, *Session) error) error {
	_, err := Call(ctx, e, open, func(ctx context.Context, s *Session) (any, error) { return nil, ask(ctx, s) })
	return err
}

// askUnlessRefused ends a call that waits for a session as soon as every server refuses the connection. At first it
// has the session tried at once.
func askUnlessRefused[T any](ctx context.Context, s *Session, first bool, ask func(context.Context, *Session) (T, error)) (T, error) {
	if s.isKept() {
		return ask(ctx, s)
	}
	ctx, done := s.ensemble.hosts.Expect(ctx)
	defer done()
	if first {
		s.reconnect()
	}
	answer, err := ask(ctx, s)
	return answer, driver.Refused(ctx, err)
}
