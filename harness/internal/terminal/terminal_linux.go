package terminal

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
)

// Suspender lets a shell that started the harness on its terminal suspend it, as it would COMMAND: when
// Ctrl-Z, or a read in the background, stops COMMAND, the harness gives the terminal up and stops itself, and
// when the shell brings the harness to the front, COMMAND gets the terminal and goes on.
type Suspender struct{ command *child.Process }

// NewSuspender is nil where nobody could continue the harness: without a terminal, as PID 1 and as leader of
// its session.
func NewSuspender(command *child.Process) *Suspender {
	session, err := unix.Getsid(0)
	if Group() < 0 || os.Getpid() == 1 || err != nil || session == os.Getpid() {
		return nil
	}
	return &Suspender{command: command}
}

// Suspend stops the harness after COMMAND, and returns when both go on.
func (s *Suspender) Suspend() {
	if s == nil {
		return
	}
	if !Owned() {
		if Group() == s.command.PID() {
			Give(syscall.Getpgrp())
		}
		stopHere()
	}
	if Owned() {
		Give(s.command.PID())
	}
	s.command.Signal(syscall.SIGCONT)
}

// stopHere stops the process. A signal to the whole process might stop it only after some more steps of this
// thread, one to the thread itself does not.
func stopHere() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
}

// Group is the foreground process group of the terminal on stdin, or -1 without one.
// A group of another PID namespace is 0.
func Group() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// Owned tells whether the harness's own group is in front.
func Owned() bool { return Group() == syscall.Getpgrp() }

// Give makes group the terminal's foreground one.
func Give(group int) {
	InBackground(func() { unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) })
}

// InBackground lets f use a terminal that somebody else is in front of: SIGTTOU, which would stop the process
// for that, is blocked meanwhile (tcsetpgrp(3)).
func InBackground(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, before unix.Sigset_t
	block.Val[0] = 1 << (syscall.SIGTTOU - 1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &block, &before)
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	f()
}
