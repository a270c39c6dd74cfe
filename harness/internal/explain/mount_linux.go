package explain

import "golang.org/x/sys/unix"

// isNoexec tells whether path lies on a file system that is mounted noexec.
func isNoexec(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0
}
