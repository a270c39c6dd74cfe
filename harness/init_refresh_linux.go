package harness

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

const (
	gatherFor     = 250 * time.Millisecond // how long changes are gathered before something follows
	gatherAtMost  = 5 * time.Second        // even when they do not stop coming
	retryFirst    = time.Second            // before what failed is tried again, doubling
	retryWriteMax = 30 * time.Second       // up to this for the file
)

// refreshed is the outcome of resolving again.
type refreshed struct {
	startup *startup
	err     error
}

// refresh resolves /environment again, from what was inherited. Held executables are not run: their values
// are what they last made known.
func (v *supervisor) refresh() refreshed {
	s := v.base.again(v.inheritedEnv)
	s.pushed = v.pushedValue
	s.resolve()
	s.require()
	err := s.failed()
	if err == nil && len(v.command) > 0 {
		_, _, err = s.lookUpCommand(v.command)
	}
	return refreshed{startup: s, err: err}
}

// refreshNow begins a refresh unless one is under way.
func (v *supervisor) refreshNow() {
	if v.refreshing || v.stopping {
		return
	}
	v.refreshing = true
	go func() { v.refreshes <- v.refresh() }()
}

// onRefreshed takes over what a refresh resolved. A failed one changes nothing: a value is never taken away
// because its source is out of order for a while.
func (v *supervisor) onRefreshed(r refreshed) {
	v.refreshing = false
	if r.err != nil {
		for _, h := range r.startup.discoverers {
			h.hook.End(v.Timeout)
		}
		v.refreshDelay = backOff(v.refreshDelay, v.Init.Refresh)
		Each(r.err, func(one error) {
			v.Log.Warn("a refresh failed, the values stay as they are", "problem", one.Error(), "again in", text.Duration(v.refreshDelay))
		})
		v.refreshTimer.Reset(jitter(v.refreshDelay))
		return
	}
	v.refreshDelay = 0
	v.keepDiscoverers(r.startup.discoverers)
	v.pushedMeanwhile(r.startup)
	now := time.Now()
	for name := range r.startup.resolved {
		v.stamp(name, now)
	}
	if v.adopt(r.startup) {
		v.gather()
	}
	v.armRefresh()
}

// pushedMeanwhile puts the values in place that were pushed while a refresh ran with the ones before.
func (v *supervisor) pushedMeanwhile(s *startup) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, value := range v.pushed {
		if decided, ok := s.resolved[name]; ok && decided.Value != value {
			s.apply(entry{name: name, path: decided.Source}, evaluation{value: value, source: decided.Source})
		}
	}
}

// armRefresh sets the time of the next refresh, ±10 %, so that a fleet does not ask all at once.
func (v *supervisor) armRefresh() {
	if d := v.Init.Refresh; d > 0 {
		v.refreshTimer.Reset(time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())))
	}
}

// adopt makes a refreshed environment the current one, and tells whether it is another for COMMAND than the one before.
func (v *supervisor) adopt(s *startup) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.discoverers, s.exporters, s.pushed = nil, nil, nil
	before := v.current.forCommand()
	v.current = s
	return !slices.Equal(before, s.forCommand())
}

// forCommand is what COMMAND gets, in an order that tells two environments apart.
func (s *startup) forCommand() []string {
	return slices.Sorted(slices.Values(s.commandEnviron().list()))
}

// push is one new value of a held executable of /environment.
type push struct {
	entry  entry
	output []byte
}

// onPush takes a pushed value over. One that is refused changes nothing.
func (v *supervisor) onPush(p push) {
	s, value, err := v.withPushed(p)
	if err != nil {
		v.Log.Warn("a pushed value is refused, the old one stays", "path", p.entry.path, "problem", err.Error())
		return
	}
	v.stamp(p.entry.name, time.Now())
	v.setPushed(p.entry.name, value)
	if v.adopt(s) {
		v.gather()
	}
}

// withPushed is the current environment with a pushed value. It refuses one that a refresh would refuse.
func (v *supervisor) withPushed(p push) (s *startup, value string, err error) {
	value, err = valueOf(p.entry.name, p.output)
	switch {
	case err != nil:
		return nil, "", err
	case value == "" && v.Empty == EmptyFail:
		return nil, "", &Error{Subject: p.entry.path, Problem: "its value is empty (--empty fail)"}
	case value == "" && slices.Contains(v.Require, p.entry.name):
		return nil, "", &Error{Subject: p.entry.name, Problem: "is required and its new value is empty"}
	}
	s = v.base.again(v.environment())
	s.resolved = maps.Clone(v.resolvedNow())
	s.apply(p.entry, evaluation{value: value, source: p.entry.path})
	_, _, err = s.lookUpCommand(v.command)
	return s, value, err
}

// gather waits for more changes before one thing follows all of them: until none came for gatherFor, but not
// for ever.
func (v *supervisor) gather() {
	if v.writeDelay > 0 {
		return // they wait for the file, too
	}
	now := time.Now()
	if v.gatherUntil.IsZero() {
		v.gatherUntil = now.Add(gatherAtMost)
	}
	v.gatherTimer.Reset(min(gatherFor, max(v.gatherUntil.Sub(now), 0)))
}

// keepDiscoverers keeps the held executables of /environment running.
func (v *supervisor) keepDiscoverers(hooks []held) {
	for _, h := range hooks {
		k := &keeper{
			entry: h.entry,
			run: func() (child.Outcome, error) {
				return v.base.again(v.environment()).execute(h.entry.path, v.environment(), false)
			},
			push:    func(output []byte) { v.pushes <- push{h.entry, output} },
			timeout: v.Timeout,
			log: func(problem string, delay time.Duration) {
				v.Log.Warn("a held executable ended, it is started again", "path", h.entry.path, "problem", problem, "in", text.Duration(delay))
			},
		}
		if value, err := valueOf(h.entry.name, h.hook.Output); err == nil {
			v.setPushed(h.entry.name, value)
		}
		v.discoverers = append(v.discoverers, k.keep(h.hook))
	}
}

// onChange does what is to follow when COMMAND has other values than it should.
func (v *supervisor) onChange() {
	v.gatherUntil = time.Time{}
	current := v.currentForCommand()
	if v.stopping || v.over || slices.Equal(v.told, current) || !v.write() {
		return
	}
	switch v.Init.OnChange {
	case ChangeRestart:
		v.restart()
		return
	case ChangeSignal:
		v.forward(v.Init.Signal)
	case ChangeExit:
		v.beginStop(v.Init.stopSignal())
	}
	v.told = current
}

func (v *supervisor) currentForCommand() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.forCommand()
}

// write writes the environment file, and tells whether it is there. COMMAND is not told of a change before it is:
// onChange comes again.
func (v *supervisor) write() bool {
	err := v.writeEnvironment()
	if err == nil {
		v.writeDelay = 0
		return true
	}
	v.writeDelay = backOff(v.writeDelay, retryWriteMax)
	v.Log.Warn("values have changed and the command is not told", "problem", err.Error(), "again in", text.Duration(v.writeDelay))
	v.gatherTimer.Reset(jitter(v.writeDelay))
	return false
}

// backOff is the delay after another failure.
func backOff(delay, most time.Duration) time.Duration {
	return min(max(2*delay, retryFirst), max(most, retryFirst))
}

// restart stops COMMAND and lets onExit start it with the new environment.
func (v *supervisor) restart() {
	if v.restarting || !v.child.KillGroupAtExit() {
		return
	}
	v.Log.Info("values have changed, the command is restarted")
	v.restarting = true
	v.endProbes()
	v.setReady(false)
	v.forward(v.Init.stopSignal())
	v.armKill()
}
