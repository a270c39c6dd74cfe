package harness

import (
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/envharness/envharness/harness/internal/account"
	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/terminal"
)

// command is COMMAND as it runs now, or ran last.
type command struct {
	options    InitOptions
	words      []string
	process    *child.Process // nil before the first start
	exits      chan syscall.WaitStatus
	status     syscall.WaitStatus                 // with which it exited for good
	stopSignal syscall.Signal                     // that it is stopped with
	grace      *grace                             // of its end
	inFront    bool                               // it was given the terminal
	suspender  atomic.Pointer[terminal.Suspender] // nil where nobody could continue the harness
}

func newCommand(o InitOptions, words []string) *command {
	return &command{options: o, words: words, exits: make(chan syscall.WaitStatus, 1), grace: newGrace(o.Grace)}
}

// start starts it with the environment of s and extra entries.
func (c *command) start(s *startup, extra []string) (*child.Process, error) {
	c.inFront = terminal.Owned(terminal.Stdin) || c.hasTerminal()
	process, err := s.startCommand(c.words, extra, c.inFront, c.exits)
	if err != nil {
		return nil, err
	}
	c.process = process
	c.suspender.Store(terminal.NewSuspender(terminal.Stdin, process))
	return process, nil
}

// signal sends it a signal, or its group with Group.
func (c *command) signal(sig syscall.Signal) {
	if c.options.Group {
		c.process.Signal(sig)
	} else {
		c.process.SignalOne(sig)
	}
}

// kill ends it with its group.
func (c *command) kill() { c.process.Signal(syscall.SIGKILL) }

// suspended lets the harness stop and go on together with COMMAND, which has been stopped.
func (c *command) suspended() { c.suspender.Load().Suspend() }

// hasTerminal tells whether COMMAND, or the one before it, is in front of the terminal, or whatever that one has
// left there when nobody else can be.
func (c *command) hasTerminal() bool {
	return c.process != nil && (terminal.Group(terminal.Stdin) == c.process.PID() || c.inFront && c.suspender.Load() == nil)
}

// reclaimTerminal brings the harness's group back in front of the terminal: whoever started the harness goes on there.
func (c *command) reclaimTerminal() {
	if c.hasTerminal() {
		terminal.Give(terminal.Stdin, syscall.Getpgrp())
	}
}

// grace is the time that a stop, or the end of COMMAND, may take.
type grace struct {
	length     time.Duration
	ends       time.Time
	timer      *time.Timer
	withdrawal *time.Timer // when COMMAND gets the signal although the service has not been withdrawn
	short      bool        // nobody asked for a stop: what COMMAND has left behind gets restAfterExit
}

// restAfterExit is how long what COMMAND has left behind may take to end when COMMAND exits by itself.
const restAfterExit = time.Second

func newGrace(length time.Duration) *grace {
	return &grace{length: length, timer: newStoppedTimer(), withdrawal: newStoppedTimer()}
}

func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (g *grace) begin() {
	g.ends = time.Now().Add(g.length)
	g.timer.Reset(g.length)
}

// endOfRest is when what COMMAND has left behind gets KILL: in a stop when the grace is over.
func (g *grace) endOfRest() time.Time {
	if soon := time.Now().Add(restAfterExit); g.short && soon.Before(g.ends) {
		return soon
	}
	return g.ends
}

// limitWithdrawal leaves COMMAND the last quarter.
func (g *grace) limitWithdrawal() { g.withdrawal.Reset(g.length * 3 / 4) }

// startCommand starts COMMAND as a child in a process group of its own, in front of the terminal if it is to
// be. exit gets its status.
func (s *startup) startCommand(command, extra []string, inFront bool, exit chan<- syscall.WaitStatus) (p *child.Process, err error) {
	file, env, err := s.lookUpCommand(command)
	if err != nil {
		return nil, err
	}
	for _, entry := range extra {
		env.Add(entry)
	}
	s.closeInherited()
	l := child.Launch{Path: file, Argv: command, Env: env.List(), Dir: s.Chdir, Files: []uintptr{0, 1, 2}, Keep: s.inherited}
	l.Sys = &syscall.SysProcAttr{Setpgid: true}
	start := func() error {
		if err := checkDirectory(l.Dir); err != nil {
			return err // else it is told of COMMAND's file
		}
		p, err = s.children.StartCommand(l, exit)
		if err != nil {
			return explainCommand(file, command, l.Env, err)
		}
		return nil
	}
	if inFront || isOwn("LISTEN_PID") || isOwn("WATCHDOG_PID") {
		// The harness's own user may execute the stage, COMMAND's may not, so it changes the user itself.
		l.Path, l.Argv, l.Dir = "/proc/self/exe", append([]string{StageName, s.user.Word(), s.Chdir, file}, command...), ""
		return p, start()
	}
	return p, s.user.Run(start)
}

// isOwn tells whether a variable that names a process names the harness.
func isOwn(name string) bool { return os.Getenv(name) == strconv.Itoa(os.Getpid()) }

// StageName is argv[0] of the stage between the harness and COMMAND, see Stage.
const StageName = "envharness-command"

// Stage is what the harness's binary does when its argv[0] is StageName: what can be done only by the process
// that will be COMMAND. It takes the terminal for its process group, gives LISTEN_PID (sd_listen_fds(3)) and WATCHDOG_PID
// (sd_watchdog_enabled(3)) its own number where they have the harness's, becomes the user of args[1], goes to the directory args[2], and executes args[3] with the words after
// it; an empty word changes nothing. It returns when that fails.
func Stage(args []string) error {
	if len(args) < 5 {
		return &Error{Subject: StageName, Problem: "is a name that the harness gives to itself", Next: "start it as envharness"}
	}
	user, err := account.Parse(args[1])
	if err != nil {
		return &Error{Subject: StageName, Problem: err.Error(), Next: "start it as envharness"}
	}
	runtime.LockOSThread()
	terminal.Give(terminal.Stdin, syscall.Getpgrp())
	env := environ.New(os.Environ())
	for _, name := range []string{"LISTEN_PID", "WATCHDOG_PID"} {
		if env.Value(name) == strconv.Itoa(os.Getppid()) {
			env.Set(name, strconv.Itoa(os.Getpid()))
		}
	}
	s := &startup{shared: &shared{Harness: &Harness{Options: Options{Chdir: args[2]}}, user: user}}
	return s.user.Run(func() error {
		if err := s.chdir(); err != nil {
			return err
		}
		err := syscall.Exec(args[3], args[4:], env.List())
		return explainCommand(args[3], args[4:], env.List(), err)
	})
}
