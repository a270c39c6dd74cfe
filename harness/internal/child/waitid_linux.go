package child

import "syscall"

// requestPidfd asks for a descriptor that becomes readable when the child exits (pidfd_open(2), Linux 5.3).
func requestPidfd(sys *syscall.SysProcAttr, pidfd *int) { sys.PidFD = pidfd }

// withoutPidfd asks for none.
func withoutPidfd(sys *syscall.SysProcAttr) *syscall.SysProcAttr {
	sys.PidFD = nil
	return sys
}

// siginfo is what waitid(2) fills in for a child, laid out as siginfo_t on Linux: its union begins at the next
// multiple of a pointer's size.
type siginfo struct {
	_, _, code       int32
	_                [^uintptr(0) >> 63]int32 // one on 64-bit platforms, none on 32-bit ones
	pid, uid, status int32
	_                [100]byte
}

// The arguments of waitid(2), from linux/wait.h.
const (
	waitPID    = 1
	waitExited = 0x4
	waitNoHang = 0x1
	waitNoReap = 0x1000000

	waitStopped = 0x2
)

// makePipe makes a pipe whose ends no child inherits by accident.
func makePipe(ends *[2]int) error { return syscall.Pipe2(ends[:], syscall.O_CLOEXEC) }
