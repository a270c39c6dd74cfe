package harness

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/phase"
	"github.com/envharness/envharness/harness/internal/terminal"
	"github.com/envharness/envharness/harness/internal/threads"
)

// supervisor is the harness beside COMMAND: it waits for one thing after another, and nothing that it does
// itself takes long. What takes long (exports, refreshes, probes) has a goroutine that reports to it.
//
// What it does next is decided by phase.Next, which alone knows the order of a stop and of a restart.
type supervisor struct {
	*Harness
	base    *startup // what was resolved at the start, and what every later resolution is made from
	signals chan syscall.Signal
	state   *state

	command     *command
	readiness   *readiness
	publisher   *publisher
	refresher   *refresher
	renewer     *renewer
	discoverers *discoverers
	changes     *changes
	control     *controller
}

// supervise is Run under Init.
func (h *Harness) supervise(words []string) error {
	h.Log = slog.New(terminal.Log{Handler: h.Log.Handler(), Stderr: h.Stderr})
	v := &supervisor{Harness: h, signals: make(chan syscall.Signal, 2*lastSignal), state: newState()}
	h.signals.handle = v.receive
	if h.Init.ParentDeathSignal != 0 {
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(h.Init.ParentDeathSignal), 0, 0, 0)
	}
	s, err := h.begin()
	if err != nil {
		return err
	}
	v.assemble(s, words)
	v.control.listen()
	defer v.control.close()
	if err := v.start(); err != nil {
		return s.fail(err)
	}
	return v.loop()
}

// assemble makes the parts. Orphans are reaped from now on.
func (v *supervisor) assemble(s *startup, words []string) {
	v.base = s
	v.state.setStartup(s)
	v.command = newCommand(v.Init, words)
	v.readiness = newReadiness(s, v.state)
	v.publisher = newPublisher(s, v.state)
	v.refresher = newRefresher(s, v.state, words)
	v.renewer = newRenewer(s, v.state)
	v.discoverers = newDiscoverers(s, v.state, words)
	v.changes = newChanges(s, v.state)
	v.control = newController(s, v.state, v.publisher)
	s.children.Adopt(v.command.suspended)
}

// receive takes a signal as it arrives. Until COMMAND exists, one that would stop it ends start-up, and every
// other waits for it.
func (v *supervisor) receive(sig syscall.Signal, ps *child.Children) {
	if v.Init.stops(sig) && v.state.beforeStart(func() { ps.Stop(sig) }) {
		return
	}
	select {
	case v.signals <- sig:
	default: // so many are waiting that this one is among them
	}
}

// start does what comes before COMMAND and starts it.
func (v *supervisor) start() error {
	s := v.base
	if err := s.prepare(v.command.words); err != nil {
		return err
	}
	v.state.stamp(maps.Keys(s.resolved))
	write := func() (struct{}, error) { return struct{}{}, s.writeEnvironment(v.state.decided()) }
	if _, err := patiently(s, v.Init.Write, write); err != nil {
		return err
	}
	s.writeTimeline(v.command.words[0]) // before COMMAND runs: its signals wait for nobody's disk
	v.readiness.listen()
	threads.Limit()
	threads.Make(v.threads(s))
	if err := v.startCommand(); err != nil {
		return err
	}
	s.started.Store(true)
	v.publisher.begin(s.exporters, !v.Init.ExportWhenReady)
	v.discoverers.keep(s.discoverers)
	v.refresher.arm()
	v.renewer.schedule(s)
	return nil
}

// threads is how many threads it takes beside those that every harness needs: two for each long-running hook, and where
// anything is resolved or probed again those that do so, and COMMAND's notify socket.
func (v *supervisor) threads(s *startup) int {
	n := 2*(len(s.exporters)+len(s.discoverers)) + v.declarations()
	if v.repeats(s) {
		n += 8 + v.Jobs
	}
	return n
}

// repeats tells whether anything is going to be resolved or probed while COMMAND runs.
func (v *supervisor) repeats(s *startup) bool {
	return v.Init.Refresh > 0 || v.Init.Health != "" || v.Init.Ready != "" || len(s.discoverers) > 0 ||
		slices.ContainsFunc(s.applied, func(a appliedEntry) bool { return a.evaluation.valid > 0 })
}

// declarations is how many executables /export has: each may stay, once COMMAND is ready or after a drain.
func (v *supervisor) declarations() int {
	count := 0
	for _, dir := range v.Export {
		entries, _ := os.ReadDir(dir)
		count += len(entries)
	}
	return count
}

// startCommand starts COMMAND with the current environment, and its probes.
func (v *supervisor) startCommand() error {
	told, err := v.state.start(v.Init.Ready == "", func(current *startup) (*child.Process, error) {
		return v.command.start(current, v.readiness.environ())
	})
	if err != nil {
		return err
	}
	v.changes.told = told
	v.readiness.probe()
	return nil
}

// worthFreeing is how much memory the harness must have of its own for its garbage to be collected.
const worthFreeing = 3 << 20

// loop is the life of the harness beside COMMAND.
func (v *supervisor) loop() error {
	freeMemory()
	for v.settle(); v.state.phaseNow() != phase.Ended; v.settle() {
		v.wait()
	}
	return v.end()
}

// freeMemory gives back what start-up has left behind. To collect it takes a third of a MiB for ever, which is more than
// most starts leave.
func freeMemory() {
	debug.SetGCPercent(-1) // nothing happens while COMMAND runs undisturbed, and then nothing is to wake up
	debug.SetMemoryLimit(32 << 20)
	var size, resident, shared int // pages
	memory, _ := os.ReadFile("/proc/self/statm")
	if fmt.Sscan(string(memory), &size, &resident, &shared); (resident-shared)*os.Getpagesize() > worthFreeing {
		runtime.GC()
		debug.FreeOSMemory()
	}
}

// wait waits for one thing to happen and deals with it.
func (v *supervisor) wait() {
	select {
	case sig := <-v.signals:
		v.onSignal(sig)
	case v.command.status = <-v.command.exits:
		v.happen(phase.CommandExited)
	case <-v.publisher.changed:
	case p := <-v.discoverers.pushes:
		v.onPush(p)
	case <-v.changes.timer.C:
		v.onChange()
	case <-v.refresher.timer.C:
		v.refresher.begin()
	case r := <-v.refresher.results:
		v.onRefreshed(r)
	case n := <-v.renewer.expired:
		v.renewer.begin(n)
	case n := <-v.renewer.results:
		v.onRenewed(n)
	case err := <-v.changes.ran:
		v.changes.executed(err)
	case <-v.readiness.notified:
		v.state.setReady(v.state.phaseNow() != phase.Restarting) // a COMMAND that is being stopped may still say so
	case <-v.readiness.probes.ready:
		v.state.setReady(true)
	case healthy := <-v.readiness.probes.healthy:
		v.onHealth(healthy)
	case q := <-v.control.requests:
		v.control.take(q)
	case <-v.command.grace.withdrawal.C:
		v.happen(phase.WithdrawalLate)
	case <-v.command.grace.timer.C:
		v.happen(phase.GraceOver)
	}
}

// settle brings about what the last event asks for.
func (v *supervisor) settle() {
	v.publisher.want(v.state.serves(v.Init.ExportWhenReady && !v.publisher.wanted))
	announced, settled, _ := v.publisher.status()
	v.control.settle()
	if !announced && settled { // and not about to be announced: what has begun is withdrawn when it is done
		v.happen(phase.Withdrawn)
	}
}

// happen goes on to the phase that follows an event, and does what that asks for.
func (v *supervisor) happen(e phase.Event) {
	next, actions := v.state.phaseNow().Next(e)
	v.state.enter(next)
	for _, a := range actions {
		v.do(a)
	}
}

func (v *supervisor) do(a phase.Action) {
	switch a {
	case phase.EndProbes:
		v.readiness.end()
	case phase.ClearReady:
		v.state.setReady(false)
	case phase.BeginGrace:
		v.command.grace.begin()
	case phase.EndGrace:
		v.command.grace.timer.Stop()
	case phase.LimitWithdrawal:
		v.command.grace.limitWithdrawal()
	case phase.LimitRest:
		v.command.grace.short = true
	case phase.SendStop:
		v.command.signal(v.command.stopSignal)
	case phase.AbandonWithdrawal:
		v.publisher.abandon()
	case phase.KillCommand:
		v.command.kill()
	case phase.StartAgain:
		v.startAgain()
	case phase.ReclaimTerminal:
		v.command.reclaimTerminal()
	}
}

// onSignal forwards a signal, or begins a stop.
func (v *supervisor) onSignal(sig syscall.Signal) {
	mapped := v.Init.mapped(sig)
	switch {
	case mapped == 0:
	case v.Init.stops(sig):
		v.stop(mapped)
	default:
		v.command.signal(mapped)
	}
}

// stop begins a stop, or lets COMMAND get the signal of somebody who insists.
func (v *supervisor) stop(sig syscall.Signal) {
	v.command.stopSignal = sig
	v.happen(phase.StopWanted)
}

func (v *supervisor) onHealth(healthy bool) {
	if v.state.setHealthy(healthy) {
		v.Log.Warn("the command's health has changed", "healthy", healthy)
	}
}

// onPush takes over a value that a long-running hook has made known. One that is refused changes nothing.
func (v *supervisor) onPush(p push) {
	if v.discoverers.take(p) {
		v.changes.gather()
	}
}

// onRefreshed takes over what a refresh resolved. A failed one changes nothing: a value is never taken away
// because its source is out of order for a while.
func (v *supervisor) onRefreshed(r refreshed) {
	if !v.refresher.finish(r) {
		return
	}
	v.discoverers.keep(r.startup.discoverers)
	r.startup = v.state.withPushed(r.startup)
	v.state.stamp(maps.Keys(r.startup.resolved))
	if v.state.adopt(r.startup) {
		v.changes.gather()
	}
	v.refresher.arm()
	v.renewer.schedule(r.startup)
}

// onRenewed takes over the values of one entry that were good for a time.
func (v *supervisor) onRenewed(n *renewal) {
	s := v.renewer.finish(n, v.command.words)
	if s == nil {
		return
	}
	v.discoverers.keep(s.discoverers)
	if v.state.adopt(s) {
		v.changes.gather()
	}
}

// onChange does what is to follow when COMMAND has other values than it should.
func (v *supervisor) onChange() {
	if !v.changes.due() || v.state.phaseNow().IsStopping() || !v.changes.write() || v.changes.delay() {
		return
	}
	switch v.Init.OnChange {
	case ChangeExec:
		v.changes.execute()
		return
	case ChangeRestart:
		v.restart()
		return
	case ChangeSignal:
		v.command.signal(v.Init.Signal)
	case ChangeExit:
		v.stop(v.Init.stopSignal())
	}
	v.changes.told = v.state.forCommand()
}

// restart stops COMMAND, which is started with the new environment when it has exited.
func (v *supervisor) restart() {
	if v.state.phaseNow() != phase.Running || !v.command.process.KillGroupAtExit() {
		return
	}
	v.Log.Info("values have changed, the command is restarted")
	v.command.stopSignal = v.Init.stopSignal()
	v.happen(phase.RestartWanted)
}

// startAgain starts COMMAND with the current environment.
func (v *supervisor) startAgain() {
	written := v.changes.write()
	v.readiness.discard()
	if err := v.startCommand(); err != nil {
		Each(err, func(one error) { v.Log.Error("the command could not be started again", "problem", one.Error()) })
		v.command.status = syscall.WaitStatus(ExitCode(err) << 8)
		v.happen(phase.StartFailed)
		return
	}
	if !written {
		v.changes.told = nil // it is to be told when the file is there
	}
}

// end ends what is left, gently. It gives COMMAND's exit code.
func (v *supervisor) end() error {
	v.discoverers.stop()
	v.base.children.EndRest(v.command.grace.endOfRest())
	return &ExitError{Code: v.Init.exitCode(v.command.status)}
}
