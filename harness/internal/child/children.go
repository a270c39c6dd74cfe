// Package child starts, holds and reaps the processes of a run: it is the one owner of wait(2), and the one that
// signals them.
package child

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// KillAfter is the time between the TERM that a time-out sends and the KILL that ends the matter.
	KillAfter = 2 * time.Second
	// stopAfter is the same for a signal that ends start-up.
	stopAfter = 5 * time.Second
	// BusyFor is how long an executable that is still open for writing (ETXTBSY) is tried again.
	BusyFor = time.Second
)

// ErrStopped is why nothing is started any more: a signal is ending start-up.
var ErrStopped = errors.New("start-up is being stopped")

// Children owns the harness's children: it alone starts them, signals them and waits for them.
//
// Starting and recording happen under one lock, and so does signalling. Therefore a child either gets the
// signal that ends start-up or is never started, and no signal goes to a process ID that was reaped.
type Children struct {
	mu       sync.Mutex
	stopped  syscall.Signal   // what ends start-up, 0 while nothing does
	halted   chan struct{}    // closed when stopped is set
	insisted bool             // a second signal came
	running  map[int]*Process // started and not yet reaped, by process ID
	nextPipe *pipe            // for the next executable
	staying  bool             // the harness stays beside COMMAND (Init), which nothing is left to
	started  chan struct{}    // holds a mark when a child was started
	noPidfd  bool             // clone(2) refuses CLONE_PIDFD
	closing  bool             // what is left is being ended
	loan     loan             // of the terminal
}

// Launch is what a child is started from.
type Launch struct {
	Path  string
	Argv  []string
	Env   []string
	Dir   string
	Files []uintptr
	Keep  []int // descriptors that it has under their own numbers, beside Files
	Sys   *syscall.SysProcAttr
}

// New owns no child yet.
func New() *Children {
	return &Children{halted: make(chan struct{}), started: make(chan struct{}, 1), running: map[int]*Process{}, loan: newLoan()}
}

// StartCommand starts COMMAND, whose exit status goes to exit as soon as it has exited (see Adopt).
func (ps *Children) StartCommand(l Launch, exit chan<- syscall.WaitStatus) (*Process, error) {
	p := &Process{lenient: true, exit: exit}
	return p, ps.start(p, l)
}

// start starts p, which is new, from l and records it.
func (ps *Children) start(p *Process, l Launch) error {
	deadline := time.Now().Add(BusyFor)
	for pause := time.Millisecond; ; pause *= 2 {
		err := ps.startOnce(p, l)
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().Add(pause).After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

func (ps *Children) startOnce(p *Process, l Launch) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.stopped != 0 {
		return ErrStopped
	}
	p.owner, p.pidfd, p.reaped = ps, -1, make(chan struct{})
	defer inherit(l.Keep)()
	pid, err := ps.forkExec(l, &p.pidfd)
	if err != nil {
		return err
	}
	p.pid = pid
	ps.running[pid] = p
	select {
	case ps.started <- struct{}{}:
	default:
	}
	return nil
}

// inherit lets the next child have descriptors; what it gives takes them back. Files of ForkExec would need a free
// number above them, which there is none of below RLIMIT_NOFILE. The caller holds the lock, so that no other child
// is started meanwhile.
func inherit(fds []int) (undo func()) {
	for _, fd := range fds {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	return func() {
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}
}

// forkExec is syscall.ForkExec with a pidfd where there is one: qemu-user up to 7.2 answers EINVAL to CLONE_PIDFD,
// and exits are looked for by waitid(2) then.
func (ps *Children) forkExec(l Launch, pidfd *int) (pid int, err error) {
	attr := &syscall.ProcAttr{Dir: l.Dir, Env: l.Env, Files: l.Files, Sys: l.Sys}
	if !ps.noPidfd {
		requestPidfd(l.Sys, pidfd)
		if pid, err = syscall.ForkExec(l.Path, l.Argv, attr); !errors.Is(err, syscall.EINVAL) {
			return pid, err
		}
		sys := *l.Sys
		attr.Sys = withoutPidfd(&sys)
		*pidfd = -1
	}
	pid, err = syscall.ForkExec(l.Path, l.Argv, attr)
	ps.noPidfd = ps.noPidfd || err == nil
	return pid, err
}

// Stop ends start-up: what runs gets the signal, what is held TERM, nothing more is started, and what is left
// after stopAfter, or when a second signal comes, is killed.
func (ps *Children) Stop(sig syscall.Signal) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.stopped != 0 {
		ps.insisted = true
		ps.killAll()
		return
	}
	ps.stopped = sig
	close(ps.halted)
	for _, p := range ps.running {
		switch {
		case p.held:
			p.terminate()
		case !p.exited:
			p.kill(sig)
		}
	}
	time.AfterFunc(stopAfter, func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		ps.killAll()
	})
}

// killAll kills every group whose leader still runs. The caller holds the lock.
func (ps *Children) killAll() {
	for _, p := range ps.running {
		if !p.exited {
			p.kill(syscall.SIGKILL)
		}
	}
}

// Halted is closed when a signal ends start-up.
func (ps *Children) Halted() <-chan struct{} { return ps.halted }

// StoppedBy is the signal that is ending start-up, or 0.
func (ps *Children) StoppedBy() syscall.Signal {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.stopped
}

// Busy tells whether anything that was started is waited for: it has not exited, or its group is being ended.
func (ps *Children) Busy() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.running {
		if !p.exited {
			return true
		}
	}
	return ps.closing
}

// AwaitEnded waits for the environment executables that were told to end.
func (ps *Children) AwaitEnded() {
	for _, p := range ps.ending() {
		fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
		for !hasExited(p.pid) {
			pollUntil(fds, time.Now().Add(pollEvery))
		}
		p.finish()
	}
}

func (ps *Children) ending() []*Process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var list []*Process
	for _, p := range ps.running {
		if !p.lenient {
			list = append(list, p)
		}
	}
	return list
}

// Release reaps the exports that have exited and lets what they left in the background go on: it is
// COMMAND's neighbour from now on.
func (ps *Children) Release() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.running {
		if p.exited || hasExited(p.pid) {
			p.reap()
		}
	}
}

// Terminate ends what exports left running: TERM to each group, and KILL for what is left after stopAfter.
func (ps *Children) Terminate() {
	groups := ps.signalExports()
	for end := time.Now().Add(stopAfter); len(groups) > 0; time.Sleep(pollEvery) {
		ps.Release()
		ReapOrphans()
		for group := range groups {
			switch {
			case syscall.Kill(-group, 0) == syscall.ESRCH:
				delete(groups, group)
			case time.Now().After(end), ps.insists():
				syscall.Kill(-group, syscall.SIGKILL)
				delete(groups, group)
			}
		}
	}
}

func (ps *Children) insists() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.insisted
}

// signalExports sends TERM to every group that is left and has not had it.
func (ps *Children) signalExports() map[int]bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.closing = true
	groups := map[int]bool{}
	for _, p := range ps.running {
		if !p.held || ps.stopped == 0 {
			p.terminate()
		}
		groups[p.pid] = true
	}
	return groups
}

// ReapOrphans takes away the zombies that PID 1 is given, so that COMMAND does not start with them.
func ReapOrphans() {
	if os.Getpid() != 1 {
		return
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err != syscall.EINTR && pid <= 0 {
			return
		}
	}
}
