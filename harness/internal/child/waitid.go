package child

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/envharness/envharness/internal/text"
)

// The si_code values of SIGCHLD that an exit has, sigaction(2).
const (
	cldExited  = 1
	cldDumped  = 3
	cldStopped = 5
)

// waitid asks about one child's exit and leaves it a zombie.
func waitid(pid int, options uintptr) (siginfo, syscall.Errno) {
	return waitOn(waitPID, pid, options|waitExited|waitNoReap)
}

// waitOn is waitid(2), which package syscall does not have.
func waitOn(kind uintptr, id int, options uintptr) (siginfo, syscall.Errno) {
	for {
		var info siginfo
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, kind, uintptr(id), uintptr(unsafe.Pointer(&info)), options, 0, 0)
		if errno != syscall.EINTR {
			return info, errno
		}
	}
}

// peek waits for the exit status of a child and leaves it a zombie, so that its ID stays taken.
func peek(pid int) syscall.WaitStatus {
	info, _ := waitid(pid, 0)
	switch info.code {
	case cldExited:
		return syscall.WaitStatus(info.status << 8)
	case cldDumped:
		return syscall.WaitStatus(info.status | 0x80)
	default:
		return syscall.WaitStatus(info.status)
	}
}

// hasExited tells whether the child is a zombie: for kernels without pidfd.
func hasExited(pid int) bool {
	info, errno := waitid(pid, waitNoHang)
	return errno == syscall.ECHILD || errno == 0 && info.pid != 0
}

// Describe tells how a process ended.
func Describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		end := "killed by " + text.Signal(status.Signal())
		if status.CoreDump() {
			end += " (core dumped)"
		}
		return end
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
