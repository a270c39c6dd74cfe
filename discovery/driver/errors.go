package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/envharness/envharness/discovery"
)

// ErrLost is Renew's answer when the record is gone and must be written again.
var ErrLost = errors.New("the lease was lost")

// ErrGap is Next's answer when changes may have been missed and the registry is otherwise healthy, as after a
// compaction.
var ErrGap = errors.New("changes may have been missed")

// ErrNotLeading is what a leader's steps and writes end with when another leads, or nobody.
var ErrNotLeading = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

// ErrClosed is the error of what was asked of a registry after its Close.
var ErrClosed = discovery.Mark(discovery.ErrUnavailable, errors.New("the registry was closed"))

// LoginHint is what to do when the server denies access to a user that the URL names, or to none.
const LoginHint = "give user and password in the URL, by ?user-file= or in " + discovery.UserVariable + " and " + discovery.PasswordVariable

// IsGap reports whether a subscription broke by a gap alone.
func IsGap(err error) bool { return errors.Is(err, ErrGap) }

// IsAny reports whether an error is of one of these kinds.
func IsAny(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// HasKind reports whether an error is of a kind that users or this package know.
func HasKind(err error) bool {
	return IsAny(err, ErrLost, ErrGap, discovery.ErrNotFound, discovery.ErrConflict, discovery.ErrDenied,
		discovery.ErrUnavailable, discovery.ErrInvalid, discovery.ErrUnsupported)
}

// permanent reports whether trying again cannot help a registration.
func permanent(err error) bool {
	return IsAny(err, discovery.ErrConflict, discovery.ErrDenied, discovery.ErrInvalid, discovery.ErrUnsupported)
}

// Client is what Call asks about the errors of an engine's client.
type Client interface {
	// KindOf gives the kind of an error, one of package discovery's, or context.DeadlineExceeded; nil if the error is
	// to stay as it is. It is not asked about errors that have a kind.
	KindOf(err error) error

	// Report says how it went with each address, for the error of a call that had no answer.
	Report() string
}

// Call takes a step within timeout and gives its error a kind.
func Call[T any](ctx context.Context, timeout time.Duration, client Client, step func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	answer, err := step(ctx)
	return answer, Explain(client, err, time.Since(start))
}

// Explain gives an error a kind. One that has a kind stays as it is, and so does nil.
func Explain(client Client, err error, took time.Duration) error {
	if err == nil || HasKind(err) {
		return err
	}
	took = took.Round(time.Millisecond)
	kind := client.KindOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), kind == context.DeadlineExceeded:
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("tried for %s: %s: %w", took, client.Report(), context.DeadlineExceeded))
	case errors.Is(err, ErrRefused):
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("tried for %s: %s", took, client.Report()))
	case errors.Is(err, context.Canceled):
		return discovery.Mark(discovery.ErrUnavailable, err)
	case kind == discovery.ErrUnavailable:
		return discovery.Mark(kind, fmt.Errorf("after %s: %s: %w", took, client.Report(), err))
	case kind != nil:
		return discovery.Mark(kind, err)
	}
	return err
}

// failer says what could not be done, and where.
type failer struct {
	engine string // its URL without passwords
	hint   func(error) string
}

// fail makes err a discovery.Error, unless it is one, or nil.
func (f failer) fail(op, name string, err error) error {
	var full *discovery.Error
	if err == nil || errors.As(err, &full) {
		return err
	}
	return &discovery.Error{Op: op, Name: name, Engine: f.engine, Err: err, Next: f.hint(err)}
}
