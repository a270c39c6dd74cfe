package etcd2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// errMoved is a gap: a long poll waited at a member that gives no answers.
var errMoved = fmt.Errorf("%w: a member of the cluster gave no answer", driver.ErrGap)

// call asks the cluster, one member after the other, within the registry's time, and gives its error a kind. ask may be
// called again after it was carried out.
func call[T any](ctx context.Context, b *backend, ask func(context.Context, client.KeysAPI) (T, error)) (T, error) {
	return driver.Call(ctx, b.config.Timeout, b, func(ctx context.Context) (answer T, err error) {
		for left := len(b.connection.members); left > 0; left-- {
			m, err := b.connection.member()
			if err != nil {
				return answer, err
			}
			answer, err = attempt(ctx, m, left, ask)
			if !noAnswer(err) || errors.Is(ctx.Err(), context.Canceled) {
				return answer, answered(err)
			}
			b.connection.leave(m)
			if ctx.Err() != nil || left == 1 {
				return answer, answered(err)
			}
		}
		return answer, nil
	})
}

// do is call for what has no answer.
func do(ctx context.Context, b *backend, ask func(context.Context, client.KeysAPI) error) error {
	_, err := call(ctx, b, func(ctx context.Context, keys client.KeysAPI) (any, error) { return nil, ask(ctx, keys) })
	return err
}

// attempt asks one member, and leaves time for the others.
func attempt[T any](ctx context.Context, m *member, left int, ask func(context.Context, client.KeysAPI) (T, error)) (T, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	return ask(ctx, m.calls)
}

// noAnswer reports whether another member may do better.
func noAnswer(err error) bool {
	var cluster *client.ClusterError
	if errors.As(err, &cluster) {
		return !errors.Is(errors.Join(cluster.Errors...), discovery.ErrInvalid)
	}
	if failure, ok := failureOf(err); ok {
		return failure.Code == client.ErrorCodeRaftInternal || failure.Code == client.ErrorCodeLeaderElect
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, client.ErrInvalidJSON) || errors.Is(err, client.ErrEmptyBody)
}

// unreachable is what the members of the cluster gave instead of an answer.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// answered takes apart the errors of the client that are several in one.
func answered(err error) error {
	var cluster *client.ClusterError
	failure, refused := failureOf(err)
	switch {
	case errors.As(err, &cluster) && !noAnswer(err):
		return inOneLine(cluster.Errors)
	case cluster != nil:
		return unreachable{inOneLine(cluster.Errors)}
	case refused && failure.Code == client.ErrorCodeUnauthorized:
		return discovery.Mark(discovery.ErrDenied, errors.New("etcd refuses these credentials, or none"))
	case errors.Is(err, client.ErrInvalidJSON), errors.Is(err, client.ErrEmptyBody), refused && noAnswer(err):
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	return err
}

func (b *backend) KindOf(err error) error {
	if errors.As(err, new(unreachable)) {
		return discovery.ErrUnavailable
	}
	return nil
}

func (b *backend) Report() string { return b.connection.report() }

// inOneLine joins errors; those of errors.Join stand below each other.
func inOneLine(all []error) error {
	if len(all) == 0 {
		return errors.New("no member gave an answer")
	}
	err := all[0]
	for _, other := range all[1:] {
		err = fmt.Errorf("%w; %w", err, other)
	}
	return err
}

func (b *backend) Hint(err error) string {
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return driver.LoginHint
	case errors.Is(err, client.ErrInvalidJSON):
		return "this is no v2 keys API: etcd has it up to 3.5, when started with --enable-v2; etcd:// speaks v3"
	case errors.Is(err, discovery.ErrUnavailable) && b.connection.hint() != "":
		return b.connection.hint()
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether etcd runs there: curl " + b.connection.members[0].address + "/health"
	}
	return ""
}

// failureOf gives the server's own answer to what it did not do.
func failureOf(err error) (client.Error, bool) {
	var failure client.Error
	return failure, errors.As(err, &failure)
}

// refused reports whether the server did not do it for one of these reasons.
func refused(err error, codes ...int) bool {
	failure, ok := failureOf(err)
	for _, code := range codes {
		if ok && failure.Code == code {
			return true
		}
	}
	return false
}
