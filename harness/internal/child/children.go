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
	mu      sync.Mutex
	stopped syscall.Signal   // what ends start-up, 0 while nothing does
	halt    chan struct{}    // closed when stopped is set
	insist  bool             // a second signal came
	running map[int]*Process // started and not yet reaped, by process ID
	spare   *line            // for the next executable
	keep    bool             // the harness stays (Init): nothing is left to COMMAND
	born    chan struct{}    // holds a mark when a child was started
	noPidfd bool             // clone(2) refuses CLONE_PIDFD
	closing bool             // what is left is being ended
}

// Process is one child, leader of a process group of its own.
type Process struct {
	owner      *Children
	pid        int
	pidfd      int  // -1 where the kernel has none
	lenient    bool // an export: what it leaves in the background may go on
	exited     bool // a zombie that has not been reaped: its ID is still ours
	held       bool // it said READY=1 and runs on: TERM ends it, whatever signal ends start-up
	terminated bool // its group has had a TERM
	status     syscall.WaitStatus
	reaped     chan struct{}             // closed when it is gone
	exit       chan<- syscall.WaitStatus // of COMMAND under Init: reaped as soon as it exits, and told here
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
	return &Children{halt: make(chan struct{}), born: make(chan struct{}, 1), running: map[int]*Process{}}
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
	case ps.born <- struct{}{}:
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
		ps.insist = true
		ps.killAll()
		return
	}
	ps.stopped = sig
	close(ps.halt)
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

// kill sends sig to the process's group, and to the process itself where it has left that group: one may join the
// harness's own (setpgid(2)). The caller holds the lock, and the process has not been reaped.
func (p *Process) kill(sig syscall.Signal) {
	syscall.Kill(-p.pid, sig)
	if group, err := syscall.Getpgid(p.pid); err == nil && group != p.pid {
		syscall.Kill(p.pid, sig)
	}
}

// Halted is closed when a signal ends start-up.
func (ps *Children) Halted() <-chan struct{} { return ps.halt }

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

// PID is the process's ID.
func (p *Process) PID() int { return p.pid }

// Signal sends sig to the process's group. The leader has not been reaped, so the group's ID is its own.
func (p *Process) Signal(sig syscall.Signal) {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.owner.running[p.pid] == p {
		p.kill(sig)
	}
}

// SignalOne sends sig to the process alone.
func (p *Process) SignalOne(sig syscall.Signal) {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.owner.running[p.pid] == p {
		syscall.Kill(p.pid, sig)
	}
}

// finish takes the exit status of a process that has exited. An environment executable's group is killed
// first, while its ID cannot have been given to anyone else; an export's leader is kept unreaped for the
// same reason, since its group may have to be signalled until COMMAND starts.
func (p *Process) finish() syscall.WaitStatus {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.exited = true
	if p.lenient && !p.owner.keep {
		p.status = peek(p.pid)
		return p.status
	}
	if !p.lenient {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	p.reap()
	return p.status
}

// reap takes the process out of the kernel's table. The caller holds the lock.
func (p *Process) reap() {
	for {
		_, err := syscall.Wait4(p.pid, &p.status, 0, nil)
		if err != syscall.EINTR {
			break
		}
	}
	delete(p.owner.running, p.pid)
	close(p.reaped)
	if p.pidfd >= 0 {
		syscall.Close(p.pidfd)
		p.pidfd = -1
	}
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

// KillGroupAtExit lets nothing of the process's group outlive it. It is false when the process has exited.
func (p *Process) KillGroupAtExit() bool {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.lenient = false
	return p.owner.running[p.pid] == p
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
	return ps.insist
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

// terminate sends TERM to the group, and the CONT that lets a stopped one see it. The caller holds the lock.
func (p *Process) terminate() {
	p.terminated = true
	p.kill(syscall.SIGTERM)
	p.kill(syscall.SIGCONT)
}

// end sends TERM to the group of a process that has not been reaped.
func (p *Process) end() {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.owner.running[p.pid] == p {
		p.terminate()
	}
}

// hold records that the process is held from now on.
func (p *Process) hold() {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.held = true
	if p.owner.stopped != 0 {
		p.terminate() // it was not held yet when the others were told
	}
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
