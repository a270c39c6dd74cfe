package harness

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/envharness/envharness/harness/internal/child"
)

// command is COMMAND as it runs now, or ran last.
type command struct {
	options    InitOptions
	words      []string
	process    *child.Process // nil before the first start
	exits      chan syscall.WaitStatus
	status     syscall.WaitStatus        // with which it exited for good
	stopSignal syscall.Signal            // that it is stopped with
	inFront    bool                      // it was given the terminal
	suspender  atomic.Pointer[suspender] // nil where nobody could continue the harness
}

func newCommand(o InitOptions, words []string) *command {
	return &command{options: o, words: words, exits: make(chan syscall.WaitStatus, 1)}
}

// start starts it with the environment of s and extra entries.
func (c *command) start(s *startup, extra []string) (*child.Process, error) {
	c.inFront = ownsTerminal() || c.hasTerminal()
	process, err := s.startCommand(c.words, extra, c.inFront, c.exits)
	if err != nil {
		return nil, err
	}
	c.process = process
	c.suspender.Store(newSuspender(process))
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
func (c *command) suspended() { c.suspender.Load().suspend() }

// hasTerminal tells whether COMMAND, or the one before it, is in front of the terminal, or whatever that one has
// left there when nobody else can be.
func (c *command) hasTerminal() bool {
	return c.process != nil && (terminalGroup() == c.process.PID() || c.inFront && c.suspender.Load() == nil)
}

// reclaimTerminal brings the harness's group back in front of the terminal: whoever started the harness goes on there.
func (c *command) reclaimTerminal() {
	if c.hasTerminal() {
		giveTerminal(syscall.Getpgrp())
	}
}

// startCommand starts COMMAND as a child in a process group of its own, in front of the terminal if it is to
// be. exit gets its status.
func (s *startup) startCommand(command, extra []string, inFront bool, exit chan<- syscall.WaitStatus) (*child.Process, error) {
	file, env, err := s.lookUpCommand(command)
	if err != nil {
		return nil, err
	}
	for _, entry := range extra {
		env.add(entry)
	}
	l := child.Launch{Path: file, Argv: command, Env: env.list(), Dir: s.Chdir, Files: s.commandFiles()}
	l.Sys = &syscall.SysProcAttr{Setpgid: true}
	if s.user != nil {
		l.Sys.Credential = s.user.credential()
	}
	if inFront || os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		l.Path, l.Argv = "/proc/self/exe", append([]string{StageName, file}, command...)
	}
	p, err := s.children.StartCommand(l, exit)
	if err != nil {
		return nil, explainCommand(file, command, l.Env, err)
	}
	return p, nil
}

// commandFiles are 0 to 2 and the inherited descriptors, each under its own number.
func (s *startup) commandFiles() []uintptr {
	s.closeInherited()
	files := []uintptr{0, 1, 2}
	if len(s.inherited) > 0 {
		const closed = ^uintptr(0)
		for fd := len(files); fd <= slices.Max(s.inherited); fd++ {
			files = append(files, closed)
		}
		for _, fd := range s.inherited {
			files[fd] = uintptr(fd)
		}
	}
	return files
}

func (u *commandUser) credential() *syscall.Credential {
	groups := make([]uint32, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	return &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groups}
}

// StageName is argv[0] of the stage between the harness and COMMAND, see Stage.
const StageName = "envharness-command"

// Stage is what the harness's binary does when its argv[0] is StageName: what can be done only by the process
// that will be COMMAND. It takes the terminal for its process group, gives LISTEN_PID (sd_listen_fds(3)) its
// own number, and executes args[1] with the words after it. It returns when that fails.
func Stage(args []string) error {
	runtime.LockOSThread()
	giveTerminal(syscall.Getpgrp())
	env := newEnviron(os.Environ())
	if env.has("LISTEN_PID") {
		env.set("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	err := syscall.Exec(args[1], args[2:], env.list())
	return explainCommand(args[1], args[2:], env.list(), err)
}
