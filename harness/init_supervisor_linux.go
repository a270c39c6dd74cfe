package harness

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/sdnotify"
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
	notified  chan struct{} // COMMAND has said that it is ready

	inheritedEnv *environ // what a refresh begins with
	announcer    *announcer
	discoverers  []*keeper
	notify       *sdnotify.Socket // COMMAND's, with Ready notify
	hearing      sync.Mutex       // held by whoever takes what it said
	socket       *control.Server  // the control socket, when there is one

	refreshTimer, gatherTimer, killTimer, signalTimer *time.Timer
	refreshing                                        bool
	refreshDelay, writeDelay                          time.Duration // before the next try
	gatherUntil                                       time.Time
	graceEnds                                         time.Time // of what killTimer ends

	child      *child.Process
	probes     probes // of this COMMAND
	stopSignal syscall.Signal
	signalled  bool // COMMAND has been sent the signal of a stop
	restarting bool
	over       bool // COMMAND has exited and is not started again
	exitStatus syscall.WaitStatus
	waiting    []request

	told     []string   // what COMMAND has, sorted; nil when it does not know
	mu       sync.Mutex // for what follows, which status reads
	current  *startup   // what COMMAND gets
	pushed   map[string]string
	stamps   map[string]time.Time
	started  bool
	stopping bool
	drained  bool
	isReady  bool
	isWell   bool

	suspender *suspender
	handed    bool // COMMAND was given the terminal
}

// supervise is Run under Init.
func (h *Harness) supervise(command []string) error {
	h.Log = slog.New(unhindered{h.Log.Handler(), h.Stderr})
	v := newSupervisor(h, command)
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
		refreshes: make(chan refreshed), requests: make(chan request), notified: make(chan struct{}, 1),
		probes: newProbes(), pushed: map[string]string{}, stamps: map[string]time.Time{}, isWell: true,
	}
	for _, timer := range []**time.Timer{&v.refreshTimer, &v.gatherTimer, &v.killTimer, &v.signalTimer} {
		*timer = time.NewTimer(time.Hour)
		(*timer).Stop()
	}
	return v
}

func (v *supervisor) setBase(s *startup) {
	s.children.Adopt(v.followSuspension)
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
	if _, err := patiently(s, v.Init.Write, func() (struct{}, error) { return struct{}{}, v.writeEnvironment() }); err != nil {
		return err
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

// startCommand starts COMMAND with the current environment, and its probes.
func (v *supervisor) startCommand() error {
	v.handed = ownsTerminal() || v.inFront()
	v.mu.Lock()
	defer v.mu.Unlock()
	child, err := v.current.startCommand(v.command, v.notifyEnviron(), v.handed, v.exits)
	if err != nil {
		return err
	}
	v.child, v.started, v.isWell, v.told = child, true, true, v.current.forCommand()
	v.suspender = newSuspender(child)
	v.isReady = v.Init.Ready == ""
	go v.probe(v.probes)
	return nil
}

// inFront tells whether COMMAND, or the one before it, is in front of the terminal, or whatever that one has
// left there when nobody else can be.
func (v *supervisor) inFront() bool {
	return v.child != nil && (terminalGroup() == v.child.PID() || v.handed && v.suspender == nil)
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
		case <-v.notified:
			v.setReady(!v.restarting) // a COMMAND that is being stopped may still say so
		case <-v.probes.ready:
			v.setReady(true)
		case well := <-v.probes.well:
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
	announced, settled, _ := v.announcer.state()
	withdrawn := !announced && settled // and not about to be announced: what has begun is withdrawn when it is done
	v.settle()
	if v.stopping && withdrawn {
		v.signalStop()
	}
	return v.over && withdrawn
}

// wantsAnnouncement tells whether others are to be sent to COMMAND.
func (v *supervisor) wantsAnnouncement() bool {
	return !v.stopping && !v.over && !v.drained && v.isWell && (v.isReady || !v.Init.ExportWhenReady || v.announcer.wanted)
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
