package harness

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adopt makes the harness the parent of every orphan below it, as PID 1 is anyway, and begins to reap them.
func (ps *processes) adopt() {
	if os.Getpid() != 1 {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ps.keep = true
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			for ps.reapNext() {
			}
		}
	}()
}

// reapNext deals with one child that has exited, and tells whether there was one. Orphans are reaped at once,
// and so is COMMAND. An executable is left to whoever runs it, who is about to: the kernel would show it
// again and again, so that is waited for.
func (ps *processes) reapNext() bool {
	pid := exitedChild()
	if pid == 0 {
		return false
	}
	ps.mu.Lock()
	p := ps.running[pid]
	switch {
	case p == nil:
		syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	case p.exit != nil:
		if !p.lenient {
			syscall.Kill(-p.pid, syscall.SIGKILL)
		}
		p.reap()
	}
	ps.mu.Unlock()
	if p != nil {
		<-p.reaped
		if p.exit != nil {
			p.exit <- p.status
		}
	}
	return true
}

// exitedChild is the process ID of a zombie child, which it leaves one, or 0.
func exitedChild() int {
	for {
		var info siginfo
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
			waitExited|waitNoReap|waitNoHang, 0, 0)
		if errno == 0 {
			return int(info.pid)
		}
		if errno != syscall.EINTR {
			return 0
		}
	}
}

// signalRest signals every process that is left: all of the container when the harness is PID 1, else its
// children, which orphans become.
func signalRest(sig syscall.Signal) {
	if os.Getpid() == 1 {
		syscall.Kill(-1, sig)
		return
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == os.Getpid() {
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

// killRest ends everything that is left, and what those leave in turn. It gives up where a process cannot be
// killed.
func killRest() {
	for range 100 {
		signalRest(syscall.SIGKILL)
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

// terminateRest ends a start-up that failed: everything that runs gets TERM, and KILL when it is still there
// after stopAfter or when a second signal insists.
func (ps *processes) terminateRest() {
	signalRest(syscall.SIGTERM)
	signalRest(syscall.SIGCONT)
	for end := time.Now().Add(stopAfter); time.Now().Before(end) && !ps.insists(); unix.Poll(nil, int(pollEvery.Milliseconds())) {
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err == syscall.ECHILD {
			return
		}
	}
	killRest()
}
