package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	shared "github.com/envharness/envharness/discovery/driver"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// opener gives the session to ask.
type opener func(context.Context) (*session, error)

// call asks the ensemble within the registry's time and puts its error into ours. ask is called again after
// its connection broke, when it may have been carried out.
func call[T any](ctx context.Context, r *registry, op, name string, open opener, ask func(context.Context, *session) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	start := time.Now()
	var backoff discovery.Backoff
	for {
		var answer T
		var user discovery.Credentials
		s, err := open(ctx)
		if err == nil {
			user = s.user()
			answer, err = askUnlessRefused(ctx, s, ask)
		}
		switch {
		case err == nil:
			return answer, nil
		case denied(err) && s.loginAnew(ctx, user):
			continue
		case broken(err) && backoff.Wait(ctx) == nil:
			continue
		}
		if broken(err) && ctx.Err() != nil {
			err = ctx.Err()
		}
		return answer, r.fail(op, name, r.explain(err, time.Since(start)))
	}
}

// askUnlessRefused ends a call that waits for a session as soon as every server refuses the connection.
func askUnlessRefused[T any](ctx context.Context, s *session, ask func(context.Context, *session) (T, error)) (T, error) {
	if s.isKept() {
		return ask(ctx, s)
	}
	ctx, done := s.registry.hosts.Expect(ctx)
	defer done()
	s.reconnect()
	answer, err := ask(ctx, s)
	return answer, shared.Refused(ctx, err)
}

// broken reports whether the connection was lost, and nothing else is wrong.
func broken(err error) bool {
	for _, one := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrClosing, zk.ErrSessionExpired, zk.ErrSessionMoved, errEnded} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// explain gives an error its kind. Those that are ours already stay as they are.
func (r *registry) explain(err error, took time.Duration) error {
	switch {
	case isOurs(err):
		return err
	case errors.Is(err, shared.ErrRefused):
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("tried for %s: %s", took.Round(time.Millisecond), r.hosts.Report()))
	case errors.Is(err, context.Canceled):
		return discovery.Mark(discovery.ErrUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded):
		return discovery.Mark(discovery.ErrUnavailable,
			fmt.Errorf("tried for %s: %s: %w", took.Round(time.Millisecond), r.hosts.Report(), context.DeadlineExceeded))
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrAuthFailed), errors.Is(err, zk.ErrInvalidACL):
		return discovery.Mark(discovery.ErrDenied, err)
	case errors.Is(err, zk.ErrInvalidPath), errors.Is(err, zk.ErrShortBuffer):
		return discovery.Mark(discovery.ErrInvalid, err)
	case errors.Is(err, zk.ErrNotEmpty), errors.Is(err, zk.ErrNoChildrenForEphemerals):
		return discovery.Mark(discovery.ErrConflict, fmt.Errorf("nodes of others are in the way: %w", err))
	}
	return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("after %s: %s: %w", took.Round(time.Millisecond), r.hosts.Report(), err))
}

// isOurs reports whether an error has its kind already.
func isOurs(err error) bool {
	for _, kind := range []error{
		discovery.ErrNotFound, discovery.ErrConflict, discovery.ErrDenied, discovery.ErrUnavailable, discovery.ErrInvalid,
		driver.ErrLost,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// fail says what could not be done.
func (r *registry) fail(op, name string, err error) error {
	e := &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
	switch {
	case errors.Is(err, discovery.ErrDenied):
		e.Next = "give user and password in the URL, by ?user-file= or in " + discovery.UserVariable + " and " + discovery.PasswordVariable +
			"; zkCli's getAcl shows whom a node lets in"
	case errors.Is(err, discovery.ErrUnavailable) && r.hosts.Hint() != "":
		e.Next = r.hosts.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		host, port, _ := net.SplitHostPort(r.hosts.addresses[0])
		e.Next = "see whether ZooKeeper runs there and has a quorum: echo srvr | nc " + host + " " + port +
			"; if it does, whether maxClientCnxns lets this machine connect once more"
	}
	return e
}
