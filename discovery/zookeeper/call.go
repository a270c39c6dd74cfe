package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// opener gives the session to ask.
type opener func(context.Context) (*session, error)

// call asks the ensemble within the registry's time and gives its error a kind. ask is called again after
// its connection broke, when it may have been carried out.
func call[T any](ctx context.Context, b *backend, open opener, ask func(context.Context, *session) (T, error)) (T, error) {
	return driver.Call(ctx, b.config.Timeout, b, func(ctx context.Context) (T, error) {
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
			case denied(err) && s.loginAnew(ctx, user):
				continue
			case broken(err) && backoff.Wait(ctx) == nil:
				continue
			}
			switch {
			case broken(err) && ctx.Err() != nil:
				err = ctx.Err()
			case errors.Is(err, zk.ErrNotEmpty), errors.Is(err, zk.ErrNoChildrenForEphemerals):
				err = discovery.Mark(discovery.ErrConflict, fmt.Errorf("nodes of others are in the way: %w", err))
			}
			return answer, err
		}
	})
}

// do is call for what has no answer.
func do(ctx context.Context, b *backend, open opener, ask func(context.Context, *session) error) error {
	_, err := call(ctx, b, open, func(ctx context.Context, s *session) (any, error) { return nil, ask(ctx, s) })
	return err
}

// askUnlessRefused ends a call that waits for a session as soon as every server refuses the connection. At first it
// has the session tried at once.
func askUnlessRefused[T any](ctx context.Context, s *session, first bool, ask func(context.Context, *session) (T, error)) (T, error) {
	if s.isKept() {
		return ask(ctx, s)
	}
	ctx, done := s.backend.hosts.Expect(ctx)
	defer done()
	if first {
		s.reconnect()
	}
	answer, err := ask(ctx, s)
	return answer, driver.Refused(ctx, err)
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

func (b *backend) KindOf(err error) error {
	for kind, some := range map[error][]error{
		discovery.ErrDenied:  {zk.ErrNoAuth, zk.ErrAuthFailed, zk.ErrInvalidACL},
		discovery.ErrInvalid: {zk.ErrInvalidPath, zk.ErrShortBuffer},
	} {
		for _, one := range some {
			if errors.Is(err, one) {
				return kind
			}
		}
	}
	return discovery.ErrUnavailable
}

func (b *backend) Report() string { return b.hosts.Report() }

func (b *backend) Hint(err error) string {
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return "give user and password in the URL, by ?user-file= or in " + discovery.UserVariable + " and " + discovery.PasswordVariable +
			"; zkCli's getAcl shows whom a node lets in"
	case errors.Is(err, discovery.ErrUnavailable) && b.hosts.Hint() != "":
		return b.hosts.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		host, port, _ := net.SplitHostPort(b.hosts.addresses[0])
		return "see whether ZooKeeper runs there and has a quorum: echo srvr | nc " + host + " " + port +
			"; if it does, whether maxClientCnxns lets this machine connect once more"
	}
	return ""
}
