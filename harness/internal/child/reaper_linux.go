package child

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// storm is how soon after the last reaping the next one is put off by as much: many orphans that end one after
// the other are reaped together, for a tenth of the processor time.
const storm = 2 * time.Millisecond

// Adopt makes the harness the parent of every orphan below it, as PID 1 is anyway, and begins to reap them.
// When COMMAND has been stopped, stopped is called.
//
// A thread waits in waitid(2) for that, see sigaction.ResetInherited for SIGCHLD.
func (ps *Children) Adopt(stopped func()) {
	if os.Getpid() != 1 {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ps.staying = true
	go func() {
		var last time.Time
		for {
			if _, errno := changedChild(0); errno == syscall.ECHILD {
				<-ps.started
				continue
			}
			if time.Since(last) < storm {
				time.Sleep(storm)
			}
			for ps.reapNext(stopped) {
			}
			last = time.Now()
		}
	}()
}

// reapNext deals with one child that has exited or stopped, and tells whether there was one. Orphans are
// reaped at once, and so is COMMAND. An executable is left to whoever runs it, who is about to: the kernel
// would show it again and again, so that is waited for.
func (ps *Children) reapNext(stopped func()) bool {
	child, errno := changedChild(waitNoHang)
	pid := int(child.pid)
	if errno != 0 || pid == 0 {
		return false
	}
	ps.mu.Lock()
	p := ps.running[pid]
	killed := false // COMMAND's group, with it
	switch {
	case child.code == cldStopped && p != nil:
		p.takeStop()
	case child.code == cldStopped:
		waitOn(waitPID, pid, waitStopped|waitNoHang)
	case p == nil:
		syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	case p.exit != nil:
		if killed = !p.lenient; killed {
			syscall.Kill(-p.pid, syscall.SIGKILL)
		}
		p.reap()
	}
	ps.mu.Unlock()
	switch {
	case p == nil:
	case child.code == cldStopped:
		if p.exit != nil {
			stopped()
		}
	default:
		<-p.reaped
		if p.exit != nil {
			go p.tellExit(killed)
		}
	}
	return true
}

// tellExit gives COMMAND's exit status to whoever waits for it. A group that was killed with COMMAND is gone by
// then, so that the next COMMAND does not meet it.
func (p *Process) tellExit(killed bool) {
	for killed && syscall.Kill(-p.pid, 0) != syscall.ESRCH {
		time.Sleep(time.Millisecond)
	}
	p.exit <- p.status
}

// changedChild waits for a child that has exited or stopped, and leaves it so.
func changedChild(options uintptr) (siginfo, syscall.Errno) {
	return waitOn(unix.P_ALL, 0, options|waitExited|waitStopped|waitNoReap)
}
