package child

import (
	"sync"
	"syscall"
	"time"
)

// Process is one child, leader of a process group of its own.
type Process struct {
	owner      *Children
	pid        int
	pidfd      int            // -1 where the kernel has none
	lenient    bool           // an export: what it leaves in the background may go on
	exited     bool           // a zombie that has not been reaped: its ID is still ours
	held       bool           // it said READY=1 and runs on: TERM ends it, whatever signal ends start-up
	terminated bool           // its group has had a TERM
	stoppedBy  syscall.Signal // what has stopped it and not been dealt with, where a terminal may be lent
	status     syscall.WaitStatus
	reaped     chan struct{}             // closed when it is gone
	exit       chan<- syscall.WaitStatus // of COMMAND under Init: reaped as soon as it exits, and sent here
}

// Cancel ends an execution whose outcome is not wanted any more, from another goroutine. A nil one never does.
type Cancel struct {
	mu      sync.Mutex
	done    chan struct{}
	process *Process // that runs, nil before
}

// NewCancel ends nothing yet.
func NewCancel() *Cancel { return &Cancel{done: make(chan struct{})} }

// Done is closed when the execution is to end.
func (c *Cancel) Done() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

// Cancelled tells whether it is.
func (c *Cancel) Cancelled() bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// End sends TERM to the group of what runs, and KILL when that took KillAfter.
func (c *Cancel) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Cancelled() {
		close(c.done)
		c.process.cancel()
	}
}

// runs records what End is to end.
func (c *Cancel) runs(p *Process) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
	if c.Cancelled() {
		p.cancel()
	}
}

func (p *Process) cancel() {
	if p == nil {
		return
	}
	p.end()
	time.AfterFunc(KillAfter, func() { p.Signal(syscall.SIGKILL) })
}

// kill sends sig to the process's group, and to the process itself where it has left that group: one may join the
// harness's own (setpgid(2)). The caller holds the lock, and the process has not been reaped.
func (p *Process) kill(sig syscall.Signal) {
	syscall.Kill(-p.pid, sig)
	if group, err := syscall.Getpgid(p.pid); err == nil && group != p.pid {
		syscall.Kill(p.pid, sig)
	}
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
	if p.lenient && !p.owner.staying {
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

// KillGroupAtExit lets nothing of the process's group outlive it. It is false when the process has exited.
func (p *Process) KillGroupAtExit() bool {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.lenient = false
	return p.owner.running[p.pid] == p
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

// hold records that the process is a long-running hook from now on.
func (p *Process) hold() {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.held = true
	if p.owner.stopped != 0 {
		p.terminate() // it was not held yet when the others were signalled
	}
}
