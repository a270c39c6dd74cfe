package child

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guessedPIDs are the numbers that are tried where /proc cannot tell which processes there are.
const guessedPIDs = 1 << 16

// EndRest ends everything that is left: TERM, and KILL for what is still there at the time until, or when a second
// signal insists. What runs as PID 1's neighbour, by docker exec, gets TERM too and is not waited for.
func (ps *Children) EndRest(until time.Time) {
	signalled := map[int]bool{}
	for first := true; ; first = false {
		ps.signalRest(syscall.SIGTERM, signalled, first)
		if !ps.childrenLeft() || !time.Now().Before(until) || ps.insists() {
			break
		}
		unix.Poll(nil, int(pollEvery.Milliseconds()))
	}
	ps.KillRest()
}

// TerminateRest ends a start-up that failed: everything that runs gets TERM, and KILL when it is still there
// after stopAfter or when a second signal insists.
func (ps *Children) TerminateRest() {
	ps.signalExports() // whole groups: a shell that waits for its sleep does not hear a TERM
	ps.EndRest(time.Now().Add(stopAfter))
}

// KillRest ends everything that is left, and what those leave in turn. It gives up where a process cannot be
// killed.
func (ps *Children) KillRest() {
	for range 100 {
		if os.Getpid() == 1 {
			syscall.Kill(-1, syscall.SIGKILL)
		} else {
			ps.signalRest(syscall.SIGKILL, nil, false)
		}
		if !ps.childrenLeft() {
			return
		}
		unix.Poll(nil, int(pollEvery.Milliseconds()))
	}
}

// childrenLeft tells whether any child is left. It reaps what has exited, when nobody else does.
func (ps *Children) childrenLeft() bool {
	if ps.staying {
		_, errno := changedChild(waitNoHang)
		return errno != syscall.ECHILD
	}
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.ECHILD:
			return false
		case err != syscall.EINTR && pid <= 0:
			return true
		}
	}
}

// signalRest signals every process that is left and has not been signalled: all of the container's when the harness is
// PID 1, else its children, which orphans become. Groups of the harness's children are signalled as a whole.
//
// A /proc that shows another PID namespace (unshare --pid without a mount) has foreign processes under these numbers. PID 1
// lets the kernel choose then, at the first time; otherwise waitid(2) alone says who is a child.
func (ps *Children) signalRest(sig syscall.Signal, signalled map[int]bool, first bool) {
	ps.mu.Lock() // nobody reaps meanwhile, so a child's number stays its own
	defer ps.mu.Unlock()
	ours := procIsOurs()
	switch {
	case !ours && os.Getpid() == 1 && first:
		syscall.Kill(-1, sig)
	case !ours && os.Getpid() == 1:
	default:
		for _, pid := range candidates(ours) {
			if !signalled[pid] && !ps.signalledAsGroup(pid, sig) && (os.Getpid() == 1 || isChild(pid)) {
				syscall.Kill(pid, sig)
				if signalled != nil {
					signalled[pid] = true
				}
			}
		}
	}
}

// signalledAsGroup tells whether a process has had a TERM together with its group. The caller holds the lock.
func (ps *Children) signalledAsGroup(pid int, sig syscall.Signal) bool {
	if sig == syscall.SIGKILL {
		return false
	}
	group, err := syscall.Getpgid(pid)
	p := ps.running[group]
	return err != nil || p != nil && p.terminated
}

// isChild asks the kernel, which knows whose children its numbers are.
func isChild(pid int) bool {
	_, errno := waitid(pid, waitNoHang)
	return errno == 0
}

// candidates are the numbers that processes other than the harness may have.
func candidates(ours bool) []int {
	var pids []int
	if ours {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	for pid := 2; pid < guessedPIDs; pid++ {
		pids = append(pids, pid)
	}
	return pids
}

// procIsOurs tells whether /proc shows the harness's own PID namespace: there the harness has its own number, and
// no other in a namespace below (NSpid of proc(5), Linux 4.1).
func procIsOurs() bool {
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return false
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, numbers, found := bytes.Cut(status, []byte("\nNSpid:"))
	numbers, _, _ = bytes.Cut(numbers, []byte("\n"))
	return !found || strings.TrimSpace(string(numbers)) == self
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

// sent tells whether a message that the kernel says pid has sent is the process's: of its group, or of a descendant.
// One that has exited meanwhile can no longer be asked, and is believed: a shell's printf is gone by then.
func (p *Process) sent(pid int) bool {
	if pid <= 0 {
		return false // of another PID namespace
	}
	if _, err := syscall.Getpgid(pid); err != nil {
		return true
	}
	if group, _ := syscall.Getpgid(pid); group == p.pid {
		return true
	}
	if !procIsOurs() {
		return false
	}
	for range 64 {
		group, err := syscall.Getpgid(pid)
		if pid == p.pid || err == nil && group == p.pid {
			return true
		}
		if pid = parentOf(pid); pid <= 1 {
			return false
		}
	}
	return false
}
