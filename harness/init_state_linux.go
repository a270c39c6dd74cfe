package harness

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/phase"
)

// state is what the parts of a supervisor know together. Clients ask for it at any time, so all of it is behind mu.
type state struct {
	mu      sync.Mutex
	phase   phase.Phase
	pid     int               // COMMAND's, 0 while there is none
	current *startup          // what COMMAND gets
	pushed  map[string][]byte // the newest output of each long-running hook of /environment
	refreshes
	since    time.Time // when COMMAND was started last
	restarts int
	drained  bool
	ready    bool
	healthy  bool
}

// refreshes is when names were found, by name.
type refreshes struct {
	refreshed map[string]time.Time
	failed    map[string]time.Time // last
	next      map[string]time.Time // of names with a time of their own
	refresh   time.Time            // the next of all, or zero
}

// forget leaves out the names that nothing gives any more.
func (r *refreshes) forget(gone func(name string, _ time.Time) bool) {
	for _, times := range []map[string]time.Time{r.refreshed, r.failed, r.next} {
		maps.DeleteFunc(times, gone)
	}
}

func newState() *state {
	return &state{
		pushed:    map[string][]byte{},
		refreshes: refreshes{refreshed: map[string]time.Time{}, failed: map[string]time.Time{}, next: map[string]time.Time{}},
		healthy:   true,
	}
}

// phaseNow is the phase. The supervisor alone changes it.
func (st *state) phaseNow() phase.Phase {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.phase
}

func (st *state) phaseAndDrained() (phase.Phase, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.phase, st.drained
}

// enter is the next phase. A COMMAND that has exited for good has no process ID any more.
func (st *state) enter(p phase.Phase) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.phase = p
	if p >= phase.Exited {
		st.pid = 0
	}
}

// beforeStart calls f if COMMAND has not been started yet, and tells whether. It is not started meanwhile.
func (st *state) beforeStart(f func()) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.phase != phase.Starting {
		return false
	}
	f()
	return true
}

// start starts COMMAND with the current environment, in one step for whoever looks at the state, and gives that
// environment.
func (st *state) start(ready bool, f func(*startup) (*child.Process, error)) ([]string, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	process, err := f(st.current)
	if err != nil {
		return nil, err
	}
	st.phase, _ = st.phase.Next(phase.CommandStarted)
	st.pid, st.ready, st.healthy = process.PID(), ready, true
	if !st.since.IsZero() {
		st.restarts++
	}
	st.since = time.Now()
	return st.current.forCommand(), nil
}

func (st *state) setReady(ready bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ready = ready
}

// setHealthy tells whether that is news.
func (st *state) setHealthy(healthy bool) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	changed := st.healthy != healthy
	st.healthy = healthy
	return changed
}

func (st *state) setDrained(drained bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.drained = drained
}

// serves tells whether others may be sent to COMMAND: whether it is healthy, not drained, not about to go, and ready
// where that matters.
func (st *state) serves(readyMatters bool) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return !st.phase.IsStopping() && !st.drained && st.healthy && (st.ready || !readyMatters)
}

// setStartup begins with what start-up has resolved.
func (st *state) setStartup(s *startup) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.current = s
}

// adopt makes a refreshed environment the current one, and tells whether it is another for COMMAND than the one before.
func (st *state) adopt(s *startup) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	s.discoverers, s.exporters, s.pushed = nil, nil, nil
	before := st.current.forCommand()
	st.current = s
	st.forget(func(name string, _ time.Time) bool { _, still := s.resolved[name]; return !still })
	return !slices.Equal(before, s.forCommand())
}

// environment is what COMMAND gets and hooks see.
func (st *state) environment() *environ.Environ {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.current.env.Clone()
}

// forCommand is what COMMAND is to have, sorted.
func (st *state) forCommand() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.current.forCommand()
}

func (st *state) startup() *startup {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.current
}

// commandEnvironment is what COMMAND would be started with.
func (st *state) commandEnvironment() *environ.Environ {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.current.commandEnviron()
}

func (st *state) decided() []Variable {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.current.resolution().Decided
}

// stamp records that names have been found anew.
func (st *state) stamp(names iter.Seq[string]) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	for name := range names {
		st.refreshed[name] = now
	}
}

// fail records that names could not be found anew.
func (st *state) fail(names iter.Seq[string]) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	for name := range names {
		st.failed[name] = now
	}
}

// failEntries is fail for the names that entries gave before.
func (st *state) failEntries(entries []string) {
	for _, a := range st.startup().applied {
		if slices.Contains(entries, a.entry.name) {
			st.fail(a.evaluation.names)
		}
	}
}

// setNext records when names will be found anew, apart from the others; zero is never.
func (st *state) setNext(names iter.Seq[string], at time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for name := range names {
		st.next[name] = at
	}
}

func (st *state) clearNext() {
	st.mu.Lock()
	defer st.mu.Unlock()
	clear(st.next)
}

// setRefresh records when all names will be found anew.
func (st *state) setRefresh(at time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.refresh = at
}

// nextOf is when a name will be found anew, or zero. The caller holds the lock.
func (st *state) nextOf(name string) time.Time {
	own := st.next[name]
	if own.IsZero() || !st.refresh.IsZero() && st.refresh.Before(own) {
		return st.refresh
	}
	return own
}

// forHooks is the current start-up, to evaluate an entry with beside whatever else happens to it.
func (st *state) forHooks() *startup {
	st.mu.Lock()
	defer st.mu.Unlock()
	return &startup{shared: st.current.shared, decisions: decisions{env: st.current.env.Clone(), ranks: st.current.ranks}}
}

// push records what a long-running hook has printed.
func (st *state) push(name string, output []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.pushed[name] = output
}

func (st *state) pushedOutput(name string) []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.pushed[name]
}

// withPushed is s with what was pushed while it was resolved with the outputs before.
func (st *state) withPushed(s *startup) *startup {
	for _, a := range s.applied {
		output := st.pushedOutput(a.entry.name)
		if output == nil || bytes.Equal(output, a.evaluation.output) {
			continue
		}
		v := evaluation{source: a.entry.path}
		if s.take(a.entry, output, s.env, &v); v.err == nil {
			s = s.with(a.entry, v)
		}
	}
	return s
}

// status is what the harness says of itself. Announced and Exporters are for the publisher to tell.
func (st *state) status() control.Status {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := control.Status{Phase: st.phaseForPeople(), PID: st.pid, Ready: st.ready, Healthy: st.healthy, Names: []control.NameStatus{}, Exporters: []control.ExporterStatus{}}
	s.Since, s.Restarts = st.since, st.restarts
	for _, name := range slices.Sorted(maps.Keys(st.refreshed)) {
		s.Names = append(s.Names, control.NameStatus{Name: name, Refreshed: st.refreshed[name], Failed: st.failed[name], Next: st.nextOf(name)})
	}
	return s
}

// phaseForPeople is the phase as a client is told it. The caller holds the lock.
func (st *state) phaseForPeople() string {
	switch {
	case st.phase == phase.Starting:
		return control.Starting
	case st.phase.IsStopping():
		return control.Stopping
	case st.drained:
		return control.Drained
	}
	return control.Running
}

// forCommand is what COMMAND gets, in an order that tells two environments apart.
func (s *startup) forCommand() []string {
	return slices.Sorted(slices.Values(s.passedEnviron().List()))
}
