package child

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CloseInherited finds the descriptors above 2 that were inherited, and closes them for executables:
// COMMAND alone keeps them (LISTEN_FDS of sd_listen_fds(3), a shell's redirections). The harness's own have
// close-on-exec set from their birth, and inherited ones cannot have it: that tells them apart.
func CloseInherited() []int {
	var inherited []int
	for _, fd := range openDescriptors() {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if fd > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.CloseOnExec(fd)
			inherited = append(inherited, fd)
		}
	}
	return inherited
}

// openDescriptors lists the numbers that may be open. Without /proc the first thousand are tried.
func openDescriptors() []int {
	var fds []int
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if fd, err := strconv.Atoi(e.Name()); err == nil {
				fds = append(fds, fd)
			}
		}
		if err == nil && len(fds) > 0 {
			return fds
		}
	}
	for fd := range 1024 {
		fds = append(fds, fd)
	}
	return fds
}

// KeepOpen leaves them open for COMMAND.
func KeepOpen(fds []int) {
	for _, fd := range fds {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
}
