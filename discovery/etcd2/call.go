package etcd2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// errMoved is a gap: a long poll waited at a member that gives no answers.
var errMoved = fmt.Errorf("%w: a member of the cluster gave no answer", driver.ErrGap)

// call asks the cluster, one member after the other, within the registry's time, and puts its error into
// ours. ask may be called again after it was carried out.
func call[T any](ctx context.Context, r *registry, op, name string, ask func(context.Context, client.KeysAPI) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	start := time.Now()
	var answer T
	var err error
	for left := len(r.connection.members); left > 0; left-- {
		var m *member
		if m, err = r.connection.member(); err != nil {
			break
		}
		answer, err = attempt(ctx, m, left, ask)
		if !noAnswer(err) || errors.Is(ctx.Err(), context.Canceled) {
			break
		}
		r.connection.leave(m)
		if ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		return answer, nil
	}
	return answer, r.fail(op, name, r.explain(err, time.Since(start)))
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

// explain gives an error its kind. Those that are ours already stay as they are.
func (r *registry) explain(err error, took time.Duration) error {
	var cluster *client.ClusterError
	failure, answered := failureOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return discovery.Mark(discovery.ErrUnavailable,
			fmt.Errorf("tried for %s: %s: %w", took.Round(time.Millisecond), r.connection.report(), context.DeadlineExceeded))
	case errors.Is(err, context.Canceled), errors.Is(err, client.ErrInvalidJSON), errors.Is(err, client.ErrEmptyBody):
		return discovery.Mark(discovery.ErrUnavailable, err)
	case errors.As(err, &cluster) && !noAnswer(err):
		return inOneLine(cluster.Errors)
	case cluster != nil:
		return discovery.Mark(discovery.ErrUnavailable,
			fmt.Errorf("tried for %s: %s: %w", took.Round(time.Millisecond), r.connection.report(), inOneLine(cluster.Errors)))
	case answered && failure.Code == client.ErrorCodeUnauthorized:
		return discovery.Mark(discovery.ErrDenied, errors.New("etcd refuses these credentials, or none"))
	case noAnswer(err):
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	return err
}

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

// fail says what could not be done, unless err says so itself.
func (r *registry) fail(op, name string, err error) error {
	if told := new(discovery.Error); errors.As(err, &told) {
		return err
	}
	e := &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
	switch {
	case errors.Is(err, discovery.ErrDenied):
		e.Next = "give user and password in the URL, by ?user-file= or in " + discovery.UserVariable + " and " + discovery.PasswordVariable
	case errors.Is(err, client.ErrInvalidJSON):
		e.Next = "this is no v2 keys API: etcd has it up to 3.5, when started with --enable-v2; etcd:// speaks v3"
	case errors.Is(err, discovery.ErrUnavailable):
		e.Next = "see whether etcd runs there: curl " + r.connection.members[0].address + "/health"
	}
	return e
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

// invalid makes an error that matches discovery.ErrInvalid.
func invalid(format string, args ...any) error {
	return discovery.Mark(discovery.ErrInvalid, fmt.Errorf(format, args...))
}
