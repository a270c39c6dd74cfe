package securefile

import (
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the reader of a FIFO may take for all that is written.
const patience = time.Second

// ownDescriptor is the number of the descriptor of this process that a path stands for.
func ownDescriptor(name string) (fd int, is bool) {
	name = path.Clean(name)
	switch name {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range [...]string{"/dev/fd/", "/proc/self/fd/", "/proc/" + strconv.Itoa(unix.Getpid()) + "/fd/"} {
		if number, found := strings.CutPrefix(name, dir); found {
			n, err := strconv.ParseUint(number, 10, 31)
			return int(n), err == nil
		}
	}
	return 0, false
}

// writeSpecial writes to a FIFO or a character device that is root's or the caller's own.
func (w *walk) writeSpecial(last string, content []byte) error {
	at := path.Join(w.at, last)
	fd, err := retry(func() (int, error) {
		return unix.Openat(w.dir, last, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err == unix.ENXIO {
		return &Error{Path: at, Reason: "is a FIFO that nobody reads", Err: err}
	}
	if err != nil {
		return w.failed(last, err)
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return w.failed(last, err)
	}
	switch kind := info.Mode & unix.S_IFMT; {
	case kind != unix.S_IFIFO && kind != unix.S_IFCHR:
		return &Error{Path: at, Reason: "was replaced while it was opened", Err: ErrForeign}
	case !isOwn(info):
		return &Error{Path: at, Reason: "is another user's FIFO or device", Err: ErrForeign}
	}
	err = writePatiently(fd, content, time.Now().Add(patience))
	if err == unix.EAGAIN {
		return &Error{Path: at, Reason: "is not read: its reader has taken nothing more for " + patience.String(), Err: err}
	}
	return err
}

// writePatiently writes to what may not take all at once. It gives up with EAGAIN at until, never when that is
// zero.
func writePatiently(fd int, content []byte, until time.Time) error {
	for len(content) > 0 {
		n, err := retry(func() (int, error) { return unix.Write(fd, content) })
		switch {
		case err == unix.EAGAIN && (until.IsZero() || time.Now().Before(until)):
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
		case err != nil:
			return err
		default:
			content = content[n:]
		}
	}
	return nil
}

// randomNumber makes a name that nobody foresees.
func randomNumber() uint64 { return rand.Uint64() }

// linkText is what a link says.
func linkText(dir int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		text := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, text)
		if err != nil || n < size {
			return string(text[:max(n, 0)]), err
		}
	}
}
