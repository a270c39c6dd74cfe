package child

import (
	"os"
	"strconv"
	"strings"
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
// A thread waits in waitid(2) for that, see resetIgnored for SIGCHLD.
func (ps *Children) Adopt(stopped func()) {
	if os.Getpid() != 1 {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ps.keep = true
	go func() {
		var last time.Time
		for {
			if _, errno := changedChild(0); errno == syscall.ECHILD {
				<-ps.born
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

// signalRest signals every process that is left and in none of the process groups told: all of the container
// when the harness is PID 1, else its children, which orphans become.
func signalRest(sig syscall.Signal, told map[int]bool) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || os.Getpid() != 1 && parentOf(pid) != os.Getpid() {
			continue
		}
		if group, err := syscall.Getpgid(pid); err == nil && !told[group] {
			syscall.Kill(pid, sig)
		}
	}
}

// parentOf reads a parent's process ID from /proc/PID/stat, proc(5). The name before it may hold anything.
func parentOf(pid int) int {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, fields, found := strings.Cut(string(stat[max(0, strings.LastIndexByte(string(stat), ')')):]), ") ")
	if words := strings.Fields(fields); found && len(words) > 1 {
		parent, _ := strconv.Atoi(words[1])
		return parent
	}
	return 0
}

// KillRest ends everything that is left, and what those leave in turn. It gives up where a process cannot be
// killed.
func KillRest() {
	for range 100 {
		if os.Getpid() == 1 {
			syscall.Kill(-1, syscall.SIGKILL)
		} else {
			signalRest(syscall.SIGKILL, nil)
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.ECHILD {
				return
			}
			if pid <= 0 {
				break
			}
		}
		unix.Poll(nil, int(pollEvery.Milliseconds()))
	}
}

// TerminateRest ends a start-up that failed: everything that runs gets TERM, and KILL when it is still there
// after stopAfter or when a second signal insists.
func (ps *Children) TerminateRest() {
	told := ps.signalExports() // whole groups: a shell that waits for its sleep does not hear a TERM
	signalRest(syscall.SIGTERM, told)
	for end := time.Now().Add(stopAfter); time.Now().Before(end) && !ps.insists(); unix.Poll(nil, int(pollEvery.Milliseconds())) {
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err == syscall.ECHILD {
			return
		}
	}
	KillRest()
}
