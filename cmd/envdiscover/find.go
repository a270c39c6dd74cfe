package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

// finder is the options of what finds one text, a value or an address.
type finder struct {
	wait           time.Duration
	def            *string // when nothing is found
	defaultOnError *string
	follow         bool
	raw            bool
}

func (f *finder) options() []cli.Option {
	return []cli.Option{
		{Name: "wait", Argument: "D", Usage: "wait up to D for an answer, and for the registry", Target: &f.wait},
		{Name: "default", Argument: "V", Usage: "print V when nothing is found", Target: &f.def},
		{Name: "default-on-error", Argument: "V", Usage: "print V when the registry cannot be asked", Target: &f.defaultOnError},
		{Name: "follow", Usage: "stay: print each new one and say READY=1 behind it", Target: &f.follow},
	}
}

// question is what find asks.
type question struct {
	about string // the name, for the log
	once  func(context.Context) ([]byte, error)
	watch func(context.Context) <-chan finding
}

// finding is one answer: a text, or why there is none.
type finding struct {
	text  []byte
	err   error
	stale bool // the last known: the registry cannot be asked
}

// findings follows a watch, and begins it again for as long as the registry cannot be asked. The channel is
// closed when ctx has ended or nothing more can be found, behind the reason.
func findings[T any](ctx context.Context, watch func(context.Context) (<-chan T, error), judge func(T) finding) <-chan finding {
	out := make(chan finding, 1)
	send := func(f finding) {
		select {
		case out <- f:
			return
		default:
		}
		select {
		case out <- f:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(out)
		var backoff discovery.Backoff
		for {
			in, err := watch(ctx)
			if err == nil {
				for state := range in {
					send(judge(state))
				}
				return
			}
			send(finding{err: err})
			if !errors.Is(err, discovery.ErrUnavailable) || backoff.Wait(ctx) != nil {
				return
			}
		}
	}()
	return out
}

// find asks, as the options say: once, until there is an answer, or for ever.
func (c *call) find(ctx context.Context, f *finder, q question) error {
	a := &answer{call: c, finder: f, about: q.about}
	switch {
	case f.follow:
		return a.hold(ctx, q)
	case f.wait > 0:
		return a.await(ctx, q)
	}
	text, err := q.once(ctx)
	return a.settle(finding{text: text, err: err})
}

// answer is what was printed so far.
type answer struct {
	*call
	*finder
	about string

	last  []byte
	given bool
}

// await takes the first text that is found in time, else what the last finding says.
func (a *answer) await(ctx context.Context, q question) error {
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	var last finding
	for f := range q.watch(ctx) {
		if last = f; f.err == nil || isUnfit(f.err) {
			break
		}
	}
	return a.settle(last)
}

// hold prints every new text until it is told to end.
func (a *answer) hold(ctx context.Context, q question) error {
	ctx, stop, err := a.heldContext(ctx, nil)
	if err != nil {
		return err
	}
	defer stop()
	patience := time.NewTimer(a.wait)
	defer patience.Stop()
	impatient := a.wait == 0
	var last finding
	findings := q.watch(ctx)
	for {
		select {
		case f, ok := <-findings:
			if ctx.Err() != nil {
				return nil
			}
			if !ok {
				return last.err
			}
			if last = f; f.stale || f.err != nil && !impatient && !isUnfit(f.err) {
				continue
			}
		case <-patience.C:
			if impatient = true; last.err == nil {
				continue // there was an answer, or none came yet
			}
		case <-ctx.Done():
			return nil
		}
		if err := a.settle(last); err != nil {
			return err
		}
	}
}

// settle prints a finding or the default that stands for it.
func (a *answer) settle(f finding) error {
	nothing := errors.Is(f.err, discovery.ErrNotFound) || errors.Is(f.err, discovery.ErrNoInstance)
	switch {
	case f.err == nil:
		return a.print(f.text)
	case nothing && a.def != nil:
		return a.print([]byte(*a.def))
	case a.given && nothing:
		a.Log.Warn("it is gone, the last one stays", "name", a.about)
		return nil
	case a.given && errors.Is(f.err, discovery.ErrUnavailable):
		return nil
	case a.given && isUnfit(f.err):
		a.Log.Warn("what there is now cannot be printed, the last one stays", "name", a.about, "error", f.err)
		return nil
	case isUnfit(f.err):
		return f.err
	case !nothing && exitCode(f.err) != exitUsage && a.defaultOnError != nil:
		a.Log.Warn("the default stands for what cannot be read", "name", a.about, "error", f.err)
		return a.print([]byte(*a.defaultOnError))
	}
	return f.err
}

// print writes a text, and behind each one that is followed READY=1. The same again is not written.
func (a *answer) print(text []byte) error {
	if a.given && bytes.Equal(text, a.last) {
		return nil
	}
	a.last, a.given = bytes.Clone(text), true
	if !a.raw && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(bytes.Clone(text), '\n')
	}
	if _, err := a.stdout.Write(text); err != nil {
		return err
	}
	if a.follow {
		return a.notify("READY=1")
	}
	return nil
}
