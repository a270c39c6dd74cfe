package harness

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// suspender lets a shell that started the harness on its terminal suspend it, as it would COMMAND: when the
// terminal's Ctrl-Z stops COMMAND, the harness takes the terminal back and stops itself, and when the shell
// continues the harness, COMMAND gets the terminal and goes on.
type suspender struct{ command *process }

// newSuspender is for a command that was handed the terminal. It is nil where nobody could continue the
// harness: as PID 1 and as leader of its session.
func newSuspender(command *process) *suspender {
	session, err := unix.Getsid(0)
	if os.Getpid() == 1 || err != nil || session == os.Getpid() {
		return nil
	}
	return &suspender{command: command}
}

// suspend stops the harness after COMMAND, and returns when both go on.
func (s *suspender) suspend() {
	if s == nil {
		return
	}
	giveTerminal(syscall.Getpgrp())
	syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	if terminalGroup() == syscall.Getpgrp() {
		giveTerminal(s.command.pid)
	}
	s.command.signal(syscall.SIGCONT)
}

// terminalGroup is the foreground process group of the terminal on stdin, or 0.
func terminalGroup() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// giveTerminal makes group the terminal's foreground one. A process in the background is sent SIGTTOU for
// that, unless it blocks it (tcsetpgrp(3)).
func giveTerminal(group int) {
	var before uint64
	block := sigbit(syscall.SIGTTOU)
	sigmask(unix.SIG_BLOCK, &block, &before)
	unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group)
	sigmask(unix.SIG_SETMASK, &before, nil)
}
