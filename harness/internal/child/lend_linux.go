package child

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/terminal"
)

// lookEvery is how often an executable that could ask at the terminal is looked at: has it been stopped for that?
const lookEvery = 50 * time.Millisecond

// loan is the controlling terminal, which the harness lends to one executable at a time. Executables run in the
// background: the kernel stops one that reads the terminal or changes its modes (SIGTTIN, SIGTTOU). Such a one is
// brought to the front then and goes on. All others leave Ctrl-C to the harness.
type loan struct {
	fd     int           // -1 without a terminal
	holder *Process      // who is in front, nil for the harness
	modes  *unix.Termios // the terminal's before that
}

// newLoan has none to lend where the harness's group belongs to another PID namespace: it could not be named to give
// the terminal back.
func newLoan() loan {
	if syscall.Getpgrp() == 0 {
		return loan{fd: -1}
	}
	return loan{fd: terminal.Open()}
}

// possible tells whether anybody may ever ask for the terminal.
func (l *loan) possible() bool { return l.fd >= 0 }

// takeStop learns what has stopped the process, if anything has. The caller holds the lock.
func (p *Process) takeStop() {
	info, errno := waitOn(waitPID, p.pid, waitStopped|waitNoHang)
	if errno == 0 && info.pid != 0 {
		p.stoppedBy = syscall.Signal(info.status)
	}
}

// lendTerminal lends the terminal to the process if it has been stopped for it and the harness has it to give. If it
// is stopped while it has the terminal, the harness stops with it.
func (p *Process) lendTerminal() {
	l := &p.owner.loan
	if !l.possible() {
		return
	}
	p.owner.mu.Lock()
	p.takeStop()
	stopped := p.stoppedBy != 0 && l.holder == p
	switch {
	case stopped:
		p.stoppedBy = 0
	case p.wantsTerminal() && l.holder == nil && terminal.Owned(l.fd):
		p.stoppedBy = 0
		l.holder, l.modes = p, terminal.Modes(l.fd)
		terminal.Give(l.fd, p.pid)
		p.kill(syscall.SIGCONT)
	case p.wantsTerminal() && (p.terminated || p.owner.stopped != 0):
		p.stoppedBy = 0
		p.kill(syscall.SIGCONT) // so that it sees the signal that is to end it
	}
	p.owner.mu.Unlock()
	if !stopped {
		return
	}
	if s := terminal.NewSuspender(l.fd, p); s != nil {
		s.Suspend()
	} else {
		p.Signal(syscall.SIGCONT) // nobody else would
	}
}

// wantsTerminal tells whether the process waits for the terminal. The caller holds the lock.
func (p *Process) wantsTerminal() bool {
	return p.stoppedBy == syscall.SIGTTIN || p.stoppedBy == syscall.SIGTTOU
}

// awaitsTerminal is wantsTerminal for those who do not hold the lock.
func (p *Process) awaitsTerminal() bool {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	return p.wantsTerminal()
}

// returnTerminal takes the terminal back, with the modes that it had, and tells whether the process had it. A shell
// that is in front by now keeps it. The process has not been reaped, so its group's ID is its own.
func (p *Process) returnTerminal() (had bool) {
	l := &p.owner.loan
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if l.holder != p {
		return false
	}
	l.holder = nil
	if group := terminal.Group(l.fd); group == p.pid || group > 0 && syscall.Kill(-group, 0) == syscall.ESRCH {
		terminal.Give(l.fd, syscall.Getpgrp())
		terminal.SetModes(l.fd, l.modes)
	}
	return true
}

// interruptOf is the signal by which somebody at the terminal has ended a process: it died of it, or says so as shells do.
func interruptOf(status syscall.WaitStatus) syscall.Signal {
	for _, sig := range [...]syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if status.Signaled() && status.Signal() == sig || status.ExitStatus() == 128+int(sig) {
			return sig
		}
	}
	return 0
}
