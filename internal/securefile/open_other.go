//go:build !linux

package securefile

import "golang.org/x/sys/unix"

func openDirectory(dir int, name string) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// readLink reads a link and tells whose it is. What is no link is EINVAL.
func readLink(dir int, name string) (info unix.Stat_t, target string, err error) {
	if err := unix.Fstatat(dir, name, &info, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return info, "", err
	}
	target, err = linkText(dir, name)
	return info, target, err
}
