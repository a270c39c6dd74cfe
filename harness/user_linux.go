package harness

import (
	"runtime"
	"syscall"
	"unsafe"
)

// assume changes the credentials of the calling thread alone: groups first, while it still may.
func (u *commandUser) assume() error {
	groups := make([]uint32, len(u.Groups), len(u.Groups)+1)
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	list := unsafe.Pointer(unsafe.SliceData(groups[:cap(groups)]))
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
	}
	if errno != 0 {
		return &Error{Subject: "--user", Problem: "cannot become that user: " + errno.Error(), Next: "only root, or a process with CAP_SETUID and CAP_SETGID, can", Err: errno}
	}
	return nil
}

// asUser calls f on a thread whose credentials are COMMAND's user's, so that the kernel itself judges what
// that user may do. The thread is never used again; the process's other threads keep their credentials.
func (s *startup) asUser(f func() error) error {
	if s.user == nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := s.user.assume(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
