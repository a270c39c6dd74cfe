package child

import "syscall"

// requestPidfd does nothing: there is no pidfd here, so exits are polled for.
func requestPidfd(*syscall.SysProcAttr, *int) {}

// withoutPidfd changes nothing.
func withoutPidfd(sys *syscall.SysProcAttr) *syscall.SysProcAttr { return sys }

// siginfo is what waitid(2) fills in for a child, laid out as siginfo_t on macOS.
type siginfo struct {
	_, _, code, pid int32
	uid             uint32
	status          int32
	_               [80]byte
}

// The arguments of waitid(2), from sys/wait.h.
const (
	waitPID    = 1
	waitExited = 0x4
	waitNoHang = 0x1
	waitNoReap = 0x20
)

// makePipe makes a pipe whose ends no child inherits by accident.
func makePipe(ends *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(ends[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	return nil
}
