package securefile

import "golang.org/x/sys/unix"

// openDirectory opens a directory to go through, which its search permission allows; a link is not followed.
func openDirectory(dir int, name string) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// readLink reads a link and tells whose it is, by one descriptor, so that both are of the same link. What is no
// link is EINVAL. The links of procfs to open files and directories (/proc/PID/fd/N, cwd, root) have a text that
// leads nowhere or elsewhere, so they are refused as ELOOP.
func readLink(dir int, name string) (info unix.Stat_t, target string, err error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return info, "", err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &info); err != nil {
		return info, "", err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFLNK {
		return info, "", unix.EINVAL
	}
	target, err = linkText(fd, "")
	if err == nil && onProc(dir) && !isPlainProcLink(name) {
		return info, "", unix.ELOOP
	}
	return info, target, err
}

func onProc(dir int) bool {
	var system unix.Statfs_t
	return unix.Fstatfs(dir, &system) == nil && system.Type == unix.PROC_SUPER_MAGIC
}

// isPlainProcLink knows the links of procfs whose text is where they lead.
func isPlainProcLink(name string) bool {
	switch name {
	case "self", "thread-self", "mounts", "net":
		return true
	}
	return false
}
