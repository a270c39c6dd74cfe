package terminal

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stdin is the terminal that COMMAND shares with the harness.
const Stdin = 0

// Job is a process group that may be in front of the terminal.
type Job interface {
	PID() int
	Signal(syscall.Signal) // to the group
}

// Suspender lets a shell that started the harness on its terminal suspend it, as it would the job: when
// Ctrl-Z, or a read in the background, stops the job, the harness gives the terminal up and stops itself, and
// when the shell brings the harness to the front, the job gets the terminal and goes on.
type Suspender struct {
	fd  int
	job Job
}

// NewSuspender is nil where nobody could continue the harness: without a terminal at fd, as PID 1 and as leader of
// its session.
func NewSuspender(fd int, job Job) *Suspender {
	session, err := unix.Getsid(0)
	if Group(fd) < 0 || os.Getpid() == 1 || err != nil || session == os.Getpid() {
		return nil
	}
	return &Suspender{fd: fd, job: job}
}

// Suspend stops the harness after the job, and returns when both go on.
func (s *Suspender) Suspend() {
	if s == nil {
		return
	}
	if !Owned(s.fd) {
		if Group(s.fd) == s.job.PID() {
			Give(s.fd, syscall.Getpgrp())
		}
		stopHere()
	}
	if Owned(s.fd) {
		Give(s.fd, s.job.PID())
	}
	s.job.Signal(syscall.SIGCONT)
}

// stopHere stops the process. A signal to the whole process might stop it only after some more steps of this
// thread, one to the thread itself does not.
func stopHere() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
}

// Open opens the controlling terminal, tty(4). It is -1 where there is none.
func Open() (fd int) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// Group is the foreground process group of the terminal at fd, or -1 where none is.
// A group of another PID namespace is 0.
func Group(fd int) int {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// Owned tells whether the harness's own group is in front.
func Owned(fd int) bool { return Group(fd) == syscall.Getpgrp() }

// Give makes group the terminal's foreground one.
func Give(fd, group int) {
	InBackground(func() { unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group) })
}

// Modes are the terminal's echo and line discipline, termios(3). They are nil where they cannot be asked.
func Modes(fd int) *unix.Termios {
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil
	}
	return modes
}

// SetModes puts modes back, at once: output that nobody reads is not waited for.
func SetModes(fd int, modes *unix.Termios) {
	if modes != nil {
		InBackground(func() { unix.IoctlSetTermios(fd, unix.TCSETS, modes) })
	}
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
