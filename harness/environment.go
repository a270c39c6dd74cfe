package harness

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/order"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/text"
)

// resolve is the /environment phase. What need not run is read first, so that every executable sees it; then
// executables run, each after those that it mentions.
func (s *startup) resolve() {
	s.resolveFrom = s.env
	if s.Init.Enabled {
		s.resolveFrom = s.env.Clone()
	}
	var executables []entry
	for _, e := range s.readEntries() {
		if e.executable {
			executables = append(executables, e)
		} else if s.mayContinue() {
			s.apply(e, s.evaluate(e, s.env))
			s.read = append(s.read, entry{path: e.path, rank: e.rank})
		}
	}
	s.expandFiles(nil)
	if s.Jobs > 1 {
		s.runParallel(executables)
	} else {
		s.runInOrder(executables)
	}
	s.expandFiles(s.record)
}

// runInOrder runs one executable after the other. The scripts of those that come are read while one runs.
func (s *startup) runInOrder(executables []entry) {
	q := s.queue(executables, s.warnCycle(executables))
	s.meanwhile = q.ReadAhead
	defer func() { s.meanwhile = nil }()
	for s.mayContinue() {
		i, ok := q.Next()
		if !ok {
			return
		}
		v := s.evaluateSteadily(executables, i)
		s.apply(executables[i], v)
	}
}

// evaluateSteadily runs an executable again that failed because its generation has gone.
func (s *startup) evaluateSteadily(executables []entry, i int) evaluation {
	const tries = 5
	for try := 1; ; try++ {
		s.renew(executables, executables[i])
		v := s.evaluate(executables[i], s.env)
		if v.err == nil || try == tries || !hasGone(executables[i]) {
			return v
		}
	}
}

// renew reads a volume again whose generation has gone before one of its executables could run: what need not run
// takes effect anew, and the executables that are left run from the new generation.
func (s *startup) renew(executables []entry, next entry) {
	if !hasGone(next) {
		return
	}
	l, _ := readSteadily(func() (listing, error) { return s.readEnvironment(next.dir) })
	for _, e := range l.entries {
		if i := slices.IndexFunc(executables, func(x entry) bool { return x.path == e.path }); i >= 0 {
			executables[i].at = e.at
		}
		i := slices.IndexFunc(s.read, func(x entry) bool { return x.path == e.path })
		if i < 0 || e.executable {
			continue
		}
		e.rank = s.read[i].rank
		s.apply(e, s.evaluate(e, s.env))
	}
}

// warnCycle tells of executables that mention each other.
func (s *startup) warnCycle(executables []entry) func([]int) {
	return func(cycle []int) {
		s.Log.Warn("they mention each other, so they run in byte order", "names", namesOfCycle(executables, cycle))
	}
}

// queue is the order of executables, sets before variables.
func (s *startup) queue(executables []entry, cycle func([]int)) *order.Queue {
	nodes := make([]order.Node, len(executables))
	var sets []int
	for i, e := range executables {
		nodes[i] = order.Node{Name: e.name, Script: func() []byte { return readScript(e) }}
		if e.isSet() {
			sets = append(sets, i)
		}
	}
	for i := range nodes {
		nodes[i].Behind = sets[:min(i, len(sets))] // nobody knows which names a set will give
	}
	return order.New(nodes, cycle)
}

// namesOfCycle is a cycle of mentions for people.
func namesOfCycle(entries []entry, cycle []int) string {
	names := ""
	for _, i := range cycle {
		names += text.Printable(entries[i].name) + " → "
	}
	return names + text.Printable(entries[cycle[0]].name)
}

// isInherited tells whether name was set before the harness, by something stronger than an env-file.
func (s *startup) isInherited(name string) bool {
	_, fromFile := s.envFile[name]
	return s.env.Has(name) && !fromFile && s.ranks[name] == 0
}

// evaluation is what became of one entry.
type evaluation struct {
	output  []byte // that members were made of
	members []member
	source  string // where the values come from, for people
	span    timeline.Span
	held    *child.Wait
	valid   time.Duration // how long its executable said that the values are good, 0 for ever
	err     error

	longRunning bool // the executable runs on, and will make new values known
}

// names gives the names that the entry decided.
func (v evaluation) names(yield func(string) bool) {
	for _, m := range v.members {
		if !yield(m.name) {
			return
		}
	}
}

// member is one variable that an entry decides.
type member struct {
	name, value string
	unset       bool
}

// apply lets an evaluation take effect: its names are set, or unset where it failed or a value is empty and
// Empty says so. What was inherited under such a name is gone then, too: it is not what was asked for.
func (s *startup) apply(e entry, v evaluation) {
	if errors.Is(v.err, child.ErrStopped) {
		return
	}
	s.addSpan(v.span)
	if v.held != nil {
		s.hold(e, v.held, v.err == nil)
		v.held = nil
	}
	for _, m := range v.members {
		if !decide(s.env, s.ranks, e.rank, m) {
			continue
		}
		s.resolved[m.name] = Variable{Name: m.name, Value: m.value, Unset: m.unset, Source: v.source, Took: v.span.End - v.span.Start}
	}
	if v.err != nil {
		s.failing = append(s.failing, e.name)
		s.record(v.err)
	} else if s.Init.Enabled {
		v.span = timeline.Span{}
		s.remember(e, v)
	}
}

// remember keeps what became of an entry; of one that was read again the later counts.
func (s *startup) remember(e entry, v evaluation) {
	if len(s.read) > 0 && e.at != e.path {
		s.applied = slices.DeleteFunc(s.applied, func(a appliedEntry) bool { return a.entry.path == e.path })
	}
	s.applied = append(s.applied, appliedEntry{e, v})
}

// decide sets or unsets a name, unless something of a higher rank has decided it.
func decide(env *environ.Environ, ranks map[string]int, rank int, m member) bool {
	if ranks[m.name] > rank {
		return false
	}
	ranks[m.name] = rank
	if m.unset {
		env.Unset(m.name)
	} else {
		env.Set(m.name, m.value)
	}
	return true
}

// appliedEntry is an entry with what became of it.
type appliedEntry struct {
	entry      entry
	evaluation evaluation
}

// with is what s resolved, but with another evaluation of one entry. Everything is decided anew, because names that
// the entry gave before may be another's now.
func (s *startup) with(e entry, v evaluation) *startup {
	n := s.again(s.resolveFrom)
	n.resolveFrom = s.resolveFrom
	for _, a := range s.applied {
		if a.entry.name == e.name && a.entry.rank == e.rank {
			a.evaluation = v
		}
		n.apply(a.entry, a.evaluation)
	}
	n.expandFiles(n.record)
	return n
}

// evaluate finds one entry's values: by running it, with further tries and the cache behind it, or by what was read.
func (s *startup) evaluate(e entry, env *environ.Environ) evaluation {
	v := evaluation{source: e.path, span: timeline.Span{Phase: "environment", Name: e.name, Path: e.path, Start: s.elapsed(), Tries: 1, Outcome: timeline.OK}}
	s.find(e, env, &v)
	if v.err != nil {
		v.span.Outcome = outcomeOf(v.err)
	}
	if v.err != nil && !e.isSet() {
		v.members = []member{{name: e.name, unset: true}}
	}
	if e.isSet() {
		v.span.Variables = len(v.members)
	}
	v.span.End = s.elapsed()
	return v
}

func (s *startup) find(e entry, env *environ.Environ, v *evaluation) {
	switch {
	case e.err != nil:
		v.err = e.err
	case !e.executable:
		if problem, hint := oddity(e); problem != "" {
			s.Log.Warn(problem, "path", e.path, "hint", hint)
		}
		s.take(e, e.content, env, v)
	case s.pushed != nil && s.pushed(e.name) != nil:
		s.take(e, s.pushed(e.name), env, v)
	default:
		s.tryRepeatedly(e, env, v)
		if s.Cache != "" && !errors.Is(v.err, child.ErrStopped) {
			s.throughCache(e, env, v)
		}
	}
}

// take makes variables of what an entry gave.
func (s *startup) take(e entry, output []byte, env *environ.Environ, v *evaluation) {
	v.output = output
	v.members, v.err = s.membersOf(e, output, env)
}

// oddity tells what of a plain value was hardly meant: what an editor of another system adds unseen.
func oddity(e entry) (problem, hint string) {
	value := trimmed(e.content)
	switch {
	case e.isSet():
	case bytes.HasPrefix(value, []byte("\ufeff")):
		return "its value begins with a byte order mark", "save it as UTF-8 without BOM"
	case bytes.HasSuffix(value, []byte("\r")) || bytes.Contains(value, []byte("\r\n")):
		return "its value has lines that end in CR LF", "save it with LF alone: sed -i 's/\\r$//' " + text.ShellQuote(e.path)
	}
	return "", ""
}

// tryRepeatedly runs an executable until it gives a value, Retries times more at the most.
func (s *startup) tryRepeatedly(e entry, env *environ.Environ, v *evaluation) {
	delay := backoff.Delay{First: s.RetryDelay, Most: time.Minute}
	for try := 1; ; try++ {
		v.span.Tries = try
		s.tryOnce(e, env, v)
		outcome := outcomeOf(v.err)
		if outcome != timeline.Failed && outcome != timeline.TimedOut || try > s.Retries || s.deadlinePassed() {
			return
		}
		s.Log.Warn("failed, will be tried again", "path", e.path, "try", try, "outcome", outcome)
		if !s.pause(delay.Next(), e.cancel) {
			v.err = child.ErrStopped
			return
		}
	}
}

// pause waits and tells whether start-up still goes on, and with it what may be cancelled.
func (s *startup) pause(d time.Duration, cancel *child.Cancel) bool {
	if !s.deadline.IsZero() {
		d = min(d, time.Until(s.deadline))
	}
	select {
	case <-time.After(d):
		return true
	case <-s.children.Halted():
		return false
	case <-cancel.Done():
		return false
	}
}

func (s *startup) tryOnce(e entry, env *environ.Environ, v *evaluation) {
	out, err := s.execute(e, env, false)
	v.held, v.valid, v.err = out.Held, out.Valid, err
	v.span.Held, v.longRunning = out.Held != nil, out.Held != nil
	if err == nil {
		s.take(e, out.Output, env, v)
		asOutput(v.err)
	}
}

// asOutput marks a refused value as one that an executable printed.
func asOutput(err error) {
	if refused := new(*Error); errors.As(err, refused) {
		(*refused).Kind = timeline.Refused
	}
}

// mayDecide tells whether /environment may decide a name, by a look at names alone: it does when an entry has that
// name, and it may when there is anything that gives names nobody knows yet.
func (s *startup) mayDecide(name string) (does, may bool) {
	if s.PreferInherited && s.isInherited(name) {
		return false, false
	}
	for _, dir := range slices.Backward(s.Environment) {
		path := filepath.Join(dir, name)
		if info, err := os.Lstat(path); err == nil {
			does = !(info.Mode()&fs.ModeSymlink != 0 && isMask(path)) && specialKind(path, info.Mode()) == ""
			break
		}
	}
	may = len(s.Secrets) > 0 || s.Names == NamesUpper || s.ExpandFiles
	for _, dir := range s.Environment {
		found, _ := os.ReadDir(dir)
		may = may || slices.ContainsFunc(found, func(f fs.DirEntry) bool { return kindOf(f.Name()) != aVariable })
	}
	return does, may
}
