package harness

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
)

// suspender lets a shell that started the harness on its terminal suspend it, as it would COMMAND: when
// Ctrl-Z, or a read in the background, stops COMMAND, the harness gives the terminal up and stops itself, and
// when the shell brings the harness to the front, COMMAND gets the terminal and goes on.
type suspender struct{ command *child.Process }

// newSuspender is nil where nobody could continue the harness: without a terminal, as PID 1 and as leader of
// its session.
func newSuspender(command *child.Process) *suspender {
	session, err := unix.Getsid(0)
	if terminalGroup() < 0 || os.Getpid() == 1 || err != nil || session == os.Getpid() {
		return nil
	}
	return &suspender{command: command}
}

// suspend stops the harness after COMMAND, and returns when both go on.
func (s *suspender) suspend() {
	if s == nil {
		return
	}
	if !ownsTerminal() {
		if terminalGroup() == s.command.PID() {
			giveTerminal(syscall.Getpgrp())
		}
		stopHere()
	}
	if ownsTerminal() {
		giveTerminal(s.command.PID())
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

// terminalGroup is the foreground process group of the terminal on stdin, or -1 without one.
// A group of another PID namespace is 0.
func terminalGroup() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// ownsTerminal tells whether the harness's own group is in front.
func ownsTerminal() bool { return terminalGroup() == syscall.Getpgrp() }

// giveTerminal makes group the terminal's foreground one.
func giveTerminal(group int) {
	inBackground(func() { unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) })
}

// inBackground lets f use a terminal that somebody else is in front of: SIGTTOU, which would stop the process
// for that, is blocked meanwhile (tcsetpgrp(3)).
func inBackground(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before uint64
	block := sigbit(syscall.SIGTTOU)
	sigmask(unix.SIG_BLOCK, &block, &before)
	defer sigmask(unix.SIG_SETMASK, &before, nil)
	f()
}
