package harness

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is the harness beside COMMAND: it waits for one thing after another, and nothing that it does
// itself takes long. What takes long (exports, refreshes, probes) has a goroutine that reports to it.
type supervisor struct {
	*Harness
	base    *startup // what was resolved at the start, and what every later resolution is made from
	command []string

	signals   chan syscall.Signal
	exits     chan syscall.WaitStatus
	pushes    chan push
	refreshes chan refreshed
	requests  chan request
	ready     chan bool
	healthy   chan bool

	inheritedEnv *environ // what a refresh begins with
	announcer    *announcer
	discoverers  []*keeper
	notify       *notifySocket // COMMAND's, with Ready notify
	socket       string        // the control socket, when there is one

	refreshTimer, gatherTimer, killTimer, signalTimer *time.Timer
	refreshing                                        bool
	refreshDelay                                      time.Duration
	gatherUntil                                       time.Time

	child      *process
	probes     chan struct{} // closed when the probes of this COMMAND are to end
	stopSignal syscall.Signal
	signalled  bool // COMMAND has been sent the signal of a stop
	restarting bool
	over       bool // COMMAND has exited and is not started again
	status0    syscall.WaitStatus
	waiting    []request

	mu       sync.Mutex // for what follows, which status reads
	current  *startup   // what COMMAND gets
	pushed   map[string]string
	stamps   map[string]time.Time
	started  bool
	stopping bool
	drained  bool
	isReady  bool
	isWell   bool
}

// supervise is Run under Init.
func (h *Harness) supervise(command []string) error {
	v := newSupervisor(h, command)
	h.signals.forwardAll()
	h.signals.handle = v.receive
	if h.Init.ParentDeathSignal != 0 {
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(h.Init.ParentDeathSignal), 0, 0, 0)
	}
	s, err := h.begin()
	if err != nil {
		return err
	}
	v.setBase(s)
	v.listen()
	defer v.removeSocket()
	if err := v.start(); err != nil {
		return s.fail(err)
	}
	return v.loop()
}

func newSupervisor(h *Harness, command []string) *supervisor {
	v := &supervisor{
		Harness: h, command: command,
		signals: make(chan syscall.Signal, 2*lastSignal), exits: make(chan syscall.WaitStatus, 1), pushes: make(chan push),
		refreshes: make(chan refreshed), requests: make(chan request), ready: make(chan bool), healthy: make(chan bool),
		pushed: map[string]string{}, stamps: map[string]time.Time{}, isWell: true,
	}
	for _, timer := range []**time.Timer{&v.refreshTimer, &v.gatherTimer, &v.killTimer, &v.signalTimer} {
		*timer = time.NewTimer(time.Hour)
		(*timer).Stop()
	}
	return v
}

func (v *supervisor) setBase(s *startup) {
	s.processes.adopt()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.base, v.current = s, s
	v.inheritedEnv = s.env.clone()
}

// start does what comes before COMMAND and starts it.
func (v *supervisor) start() error {
	s := v.base
	if err := s.prepare(v.command); err != nil {
		return err
	}
	now := time.Now()
	for name := range s.resolved {
		v.stamp(name, now)
	}
	v.openNotify()
	if err := v.startCommand(); err != nil {
		return err
	}
	s.writeTimeline(v.command[0])
	announcer := newAnnouncer(s, !v.Init.ExportWhenReady, v.environment)
	v.mu.Lock()
	v.announcer = announcer
	v.mu.Unlock()
	v.keepDiscoverers(s.discoverers)
	v.armRefresh()
	return nil
}

// receive takes a signal as it arrives. Until COMMAND exists, one that would stop it ends start-up, and every
// other waits for it.
func (v *supervisor) receive(sig syscall.Signal, ps *processes) {
	v.mu.Lock()
	started := v.started
	v.mu.Unlock()
	if !started && v.Init.stops(sig) {
		ps.stop(sig)
		return
	}
	select {
	case v.signals <- sig:
	default: // so many are waiting that this one is among them
	}
}

// startCommand starts COMMAND with the current environment, and its probes.
func (v *supervisor) startCommand() error {
	if err := v.writeEnvironment(); err != nil {
		return err
	}
	child, err := v.current.startCommand(v.command, v.notifyEnviron(), v.exits)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.child, v.started, v.isWell = child, true, true
	v.isReady = v.Init.Ready == ""
	v.mu.Unlock()
	v.probes = make(chan struct{})
	go v.probe(v.probes, v.ready, v.healthy)
	return nil
}

// loop is the life of the harness beside COMMAND.
func (v *supervisor) loop() error {
	runtime.GC()
	debug.SetGCPercent(-1) // nothing happens while COMMAND runs undisturbed, and then nothing is to wake up
	debug.SetMemoryLimit(32 << 20)
	debug.FreeOSMemory()
	for !v.done() {
		select {
		case sig := <-v.signals:
			v.onSignal(sig)
		case status := <-v.exits:
			v.onExit(status)
		case <-v.announcer.changed:
		case p := <-v.pushes:
			v.onPush(p)
		case <-v.gatherTimer.C:
			v.onChange()
		case <-v.refreshTimer.C:
			v.refreshNow()
		case r := <-v.refreshes:
			v.onRefreshed(r)
		case <-v.ready:
			v.setReady()
		case well := <-v.healthy:
			v.setWell(well)
		case q := <-v.requests:
			v.onRequest(q)
		case <-v.signalTimer.C:
			v.signalStop()
		case <-v.killTimer.C:
			v.kill()
		}
	}
	return v.end()
}

// done brings about what the last event asks for, and tells whether nothing is left to do.
func (v *supervisor) done() bool {
	v.announcer.want(v.wantsAnnouncement())
	announced, _, _ := v.announcer.state()
	v.settle()
	if v.stopping && !announced {
		v.signalStop()
	}
	return v.over && !announced
}

// wantsAnnouncement tells whether others are to be sent to COMMAND.
func (v *supervisor) wantsAnnouncement() bool {
	return !v.stopping && !v.over && !v.drained && v.isWell && (v.isReady || !v.Init.ExportWhenReady || v.announcer.wanted)
}

// onSignal forwards a signal, or begins a stop.
func (v *supervisor) onSignal(sig syscall.Signal) {
	mapped := v.Init.mapped(sig)
	switch {
	case mapped == 0:
	case v.Init.stops(sig) && !v.stopping:
		v.beginStop(mapped)
	default:
		v.forward(mapped)
	}
}

func (v *supervisor) forward(sig syscall.Signal) {
	if v.Init.Group {
		v.child.signal(sig)
	} else {
		v.child.signalOne(sig)
	}
}

// beginStop withdraws; COMMAND gets the signal when that is done. A slow withdrawal leaves COMMAND the last
// quarter of the grace.
func (v *supervisor) beginStop(sig syscall.Signal) {
	v.mu.Lock()
	v.stopping = true
	v.mu.Unlock()
	v.stopSignal = sig
	v.killTimer.Reset(v.Init.Grace)
	v.signalTimer.Reset(v.Init.Grace * 3 / 4)
}

// signalStop gives COMMAND the signal of the stop, once.
func (v *supervisor) signalStop() {
	if !v.signalled && !v.over {
		v.signalled = true
		v.forward(v.stopSignal)
	}
}

// kill ends a COMMAND that has had its time, with its group, and a withdrawal that has not ended.
func (v *supervisor) kill() {
	if !v.restarting || v.stopping {
		v.announcer.abandon()
	}
	if !v.over {
		v.child.signal(syscall.SIGKILL)
	}
}

// onExit is COMMAND's end, or the middle of its restart.
func (v *supervisor) onExit(status syscall.WaitStatus) {
	close(v.probes)
	if v.restarting && !v.stopping {
		v.restarting = false
		v.killTimer.Stop()
		err := v.startCommand()
		if err == nil {
			return
		}
		Each(err, func(one error) { v.Log.Error("the command could not be started again", "problem", one.Error()) })
		status = syscall.WaitStatus(ExitCode(err) << 8)
	}
	v.mu.Lock()
	v.over, v.status0 = true, status
	v.mu.Unlock()
	if !v.stopping {
		v.killTimer.Reset(v.Init.Grace)
	}
}

// onChange does what is to follow when values have changed.
func (v *supervisor) onChange() {
	v.gatherUntil = time.Time{}
	if v.stopping || v.over {
		return
	}
	switch v.Init.OnChange {
	case ChangeRestart:
		v.restart()
		return // the file is written when it starts
	case ChangeExit:
		v.beginStop(v.Init.stopSignal())
	}
	if err := v.writeEnvironment(); err != nil {
		v.Log.Error("the environment file could not be written", "problem", err.Error())
	}
	if v.Init.OnChange == ChangeSignal {
		v.forward(v.Init.Signal)
	}
}

// restart stops COMMAND and lets onExit start it with the new environment.
func (v *supervisor) restart() {
	if v.restarting {
		return
	}
	v.Log.Info("values have changed, the command is restarted")
	v.restarting = true
	v.child.killGroupAtExit()
	v.forward(v.Init.stopSignal())
	v.killTimer.Reset(v.Init.Grace)
}

// end ends what is left and gives COMMAND's exit code.
func (v *supervisor) end() error {
	for _, k := range v.discoverers {
		k.end()
	}
	killRest()
	return &ExitError{Code: v.Init.exitCode(v.status0)}
}

func (v *supervisor) setReady() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isReady = true
}

func (v *supervisor) setWell(well bool) {
	if v.isWell != well {
		v.Log.Warn("the command's health has changed", "well", well)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isWell = well
}

func (v *supervisor) environment() *environ {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.env.clone()
}

func (v *supervisor) resolvedNow() map[string]Variable {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.resolved
}

func (v *supervisor) stamp(name string, t time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stamps[name] = t
}

func (v *supervisor) setPushed(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pushed[name] = value
}

func (v *supervisor) pushedValue(name string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.pushed[name]
	return value, ok
}

// status is what the harness says of itself.
func (v *supervisor) status() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := Status{Phase: PhaseRunning, Ready: v.isReady, Healthy: v.isWell, Names: []NameStatus{}, Exporters: []ExporterStatus{}}
	switch {
	case v.stopping || v.over:
		s.Phase = PhaseStopping
	case !v.started:
		s.Phase = PhaseStarting
	case v.drained:
		s.Phase = PhaseDrained
	}
	if v.child != nil && !v.over {
		s.PID = v.child.pid
	}
	if v.announcer != nil {
		s.Announced, _, _ = v.announcer.state()
		s.Exporters = v.announcer.exporters()
	}
	for name, at := range v.stamps {
		s.Names = append(s.Names, NameStatus{Name: name, Refreshed: at})
	}
	slices.SortFunc(s.Names, func(a, b NameStatus) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return s
}

func (v *supervisor) removeSocket() {
	if v.socket != "" {
		os.Remove(v.socket)
	}
}

func randomFloat() float64 { return rand.Float64() }
