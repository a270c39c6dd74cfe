package harness

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// openNotify makes the socket on which COMMAND says that it is ready, and passes on what it says to whoever
// waits for the harness itself to be ready (systemd, an outer harness).
func (v *supervisor) openNotify() {
	if v.Init.Ready != ReadyNotify {
		return
	}
	v.notify = listenNotify()
	if v.notify.fd < 0 {
		v.Log.Warn("no notify socket could be opened, so the command cannot say that it is ready")
		return
	}
	if v.base.user != nil {
		v.notify.also = v.base.user.UID
	}
	go func() {
		fds := []unix.PollFd{{Fd: int32(v.notify.fd), Events: unix.POLLIN}}
		for {
			unix.Poll(fds, -1)
			v.hear()
		}
	}()
}

// hear takes what COMMAND has said, and passes it on.
func (v *supervisor) hear() {
	v.hearing.Lock()
	defer v.hearing.Unlock()
	upstream := newEnviron(v.Environ).value(notifySocketName)
	for message, ok := v.notify.receive(); ok; message, ok = v.notify.receive() {
		passOn(upstream, message)
		if saysReady(message) {
			notice(v.notified)
		}
	}
}

// hearOut takes the last words of a COMMAND that has exited, so that they are not taken for the next one's.
func (v *supervisor) hearOut() {
	if v.notify == nil {
		return
	}
	v.hear()
	select {
	case <-v.notified:
	default:
	}
}

// notifyEnviron is the entry that names the socket.
func (v *supervisor) notifyEnviron() []string {
	if v.notify == nil {
		return nil
	}
	return v.notify.environ()
}

// passOn sends a message of sd_notify(3) to an address, which is a path or, with @, an abstract name.
func passOn(address, message string) {
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	unix.Sendto(fd, []byte(message), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: address})
}

// teardownIn tells whether a directory has a teardown that takes part.
func isTeardown(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && !(info.Mode()&os.ModeSymlink != 0 && isMask(path)) && specialKind(path, info.Mode()) == ""
}
