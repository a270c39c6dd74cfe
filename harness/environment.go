package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/backoff"
)

// resolve is the /environment phase: every entry's output becomes the variable of its name, in byte order
// of names, each executable seeing what the ones before it resolved.
func (s *startup) resolve() {
	entries, failures := mergeDirectories(s.Environment, s.Log)
	for _, err := range failures {
		s.record(err)
	}
	if s.PreferInherited {
		entries = slices.DeleteFunc(entries, func(e entry) bool { return s.isInherited(e.name) })
	}
	if s.Jobs > 1 {
		s.resolveParallel(entries)
		return
	}
	for _, e := range entries {
		if !s.mayContinue() {
			return
		}
		s.apply(e, s.evaluate(e, s.env))
	}
}

// resolveParallel resolves Jobs entries at a time. Each sees only what was there before the phase, so that
// the outcome does not depend on which is faster.
func (s *startup) resolveParallel(entries []entry) {
	before := s.env.clone()
	culprit := s.culprit
	evaluations := make([]evaluation, len(entries))
	next := make(chan int)
	var enough atomic.Bool // FailFast and one has failed
	var workers sync.WaitGroup
	for range min(s.Jobs, len(entries)) {
		workers.Go(func() {
			for i := range next {
				if enough.Load() {
					evaluations[i].err = child.ErrStopped
					continue
				}
				evaluations[i] = s.evaluate(entries[i], before)
				enough.CompareAndSwap(false, s.FailFast && evaluations[i].err != nil)
			}
		})
	}
	for i := range entries {
		next <- i
	}
	close(next)
	workers.Wait()
	for i, e := range entries {
		s.culprit = culprit // none of these ran after another of them
		s.apply(e, evaluations[i])
	}
}

// isInherited tells whether name was set before the harness, by something stronger than an env-file.
func (s *startup) isInherited(name string) bool {
	_, fromFile := s.envFile[name]
	return s.env.has(name) && !fromFile
}

// evaluation is what became of one entry.
type evaluation struct {
	value  string
	source string // where the value comes from, for people
	span   timeline.Span
	held   *child.Wait
	err    error
}

// apply lets an evaluation take effect: the name is set, or unset when it failed or its value is empty and
// Empty says so. What was inherited under that name is gone then, too: it is not what was asked for.
func (s *startup) apply(e entry, v evaluation) {
	if v.err != nil && errors.Is(v.err, child.ErrStopped) {
		return
	}
	s.addSpan(v.span)
	if v.err == nil && v.value == "" && s.Empty == EmptyFail {
		v.err = &Error{Subject: e.path, Problem: "its value is empty (--empty fail)", Next: "let it print a value, or allow empty ones with --empty keep"}
	}
	if v.held != nil {
		s.hold(e, v.held, v.err == nil)
	}
	unset := v.err != nil || v.value == "" && s.Empty == EmptyUnset
	if unset {
		s.env.unset(e.name)
	} else {
		s.env.set(e.name, v.value)
	}
	s.resolved[e.name] = Variable{Name: e.name, Value: v.value, Unset: unset, Source: v.source, Took: v.span.End - v.span.Start}
	if v.err != nil {
		s.record(v.err)
	}
}

// evaluate finds one entry's value: by running it, with further tries and the cache behind it, or by
// reading it.
func (s *startup) evaluate(e entry, env *environ) evaluation {
	v := evaluation{source: e.path, span: timeline.Span{Phase: "environment", Name: e.name, Path: e.path, Start: s.elapsed(), Tries: 1, Outcome: timeline.OK}}
	v.value, v.err = s.valueOfEntry(e, env, &v)
	if v.err != nil {
		v.span.Outcome = outcomeOf(v.err)
	}
	v.span.End = s.elapsed()
	return v
}

func (s *startup) valueOfEntry(e entry, env *environ, v *evaluation) (string, error) {
	if !envfmt.IsName(e.name) {
		return "", nameError(e.path)
	}
	executable, err := inspect(e.path)
	if err != nil {
		return "", err
	}
	if !executable {
		value, err := plainValue(e)
		if problem, hint := oddity(value); problem != "" {
			s.Log.Warn(problem, "path", e.path, "hint", hint)
		}
		return value, err
	}
	if s.pushed != nil {
		if value, held := s.pushed(e.name); held {
			return value, nil
		}
	}
	value, err := s.tryRepeatedly(e, env, v)
	if s.Cache == "" || errors.Is(err, child.ErrStopped) {
		return value, err
	}
	return s.throughCache(e, v, value, err)
}

// oddity tells what of a plain value was hardly meant: what an editor of another system adds unseen.
func oddity(value string) (problem, hint string) {
	switch {
	case strings.HasPrefix(value, "\ufeff"):
		return "its value begins with a byte order mark", "save it as UTF-8 without BOM"
	case strings.HasSuffix(value, "\r") || strings.Contains(value, "\r\n"):
		return "its value has lines that end in CR LF", "save it with LF alone: sed -i 's/\\r$//' FILE"
	}
	return "", ""
}

func plainValue(e entry) (string, error) {
	content, err := readPlain(e.path)
	if err != nil {
		return "", err
	}
	return refusedAt(e.path, "")(valueOf(e.name, content))
}

// refusedAt lets the error of a refused value name the file that gave it, and what became of its executable.
func refusedAt(path, outcome string) func(string, error) (string, error) {
	return func(value string, err error) (string, error) {
		var refused *Error
		if errors.As(err, &refused) {
			refused.Subject, refused.Kind = path, outcome
		}
		return value, err
	}
}

// tryRepeatedly runs an executable until it gives a value, Retries times more at the most.
func (s *startup) tryRepeatedly(e entry, env *environ, v *evaluation) (string, error) {
	delay := backoff.Delay{First: s.RetryDelay, Most: time.Minute}
	for try := 1; ; try++ {
		v.span.Tries = try
		value, err := s.tryOnce(e, env, v)
		outcome := outcomeOf(err)
		if outcome != timeline.Failed && outcome != timeline.TimedOut || try > s.Retries || s.deadlinePassed() {
			return value, err
		}
		s.Log.Warn("failed, will be tried again", "path", e.path, "try", try, "outcome", outcome)
		if !s.pause(delay.Next()) {
			return "", child.ErrStopped
		}
	}
}

// pause waits and tells whether start-up still goes on.
func (s *startup) pause(d time.Duration) bool {
	if !s.deadline.IsZero() {
		d = min(d, time.Until(s.deadline))
	}
	select {
	case <-time.After(d):
		return true
	case <-s.children.Halted():
		return false
	}
}

func (s *startup) tryOnce(e entry, env *environ, v *evaluation) (string, error) {
	out, err := s.execute(e.path, env, false)
	v.held = out.Held
	v.span.Held = out.Held != nil
	if err != nil {
		return "", err
	}
	return refusedAt(e.path, timeline.Refused)(valueOf(e.name, out.Output))
}

// hasEnvironmentEntry tells whether /environment will decide a name, by a look at names alone.
func (s *startup) hasEnvironmentEntry(name string) bool {
	if s.PreferInherited && s.isInherited(name) {
		return false
	}
	for _, dir := range slices.Backward(s.Environment) {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		return !(info.Mode()&fs.ModeSymlink != 0 && isMask(path)) && specialKind(path, info.Mode()) == ""
	}
	return false
}
