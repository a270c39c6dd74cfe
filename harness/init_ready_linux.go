package harness

import (
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/sdnotify"
)

// openNotify makes the socket on which COMMAND says that it is ready, and passes on what it says to whoever
// waits for the harness itself to be ready (systemd, an outer harness).
func (v *supervisor) openNotify() {
	if v.Init.Ready != ReadyNotify {
		return
	}
	v.notify = sdnotify.Listen()
	if v.notify.FD() < 0 {
		v.Log.Warn("no notify socket could be opened, so the command cannot say that it is ready")
		return
	}
	if v.base.user != nil {
		v.notify.Also = int(v.base.user.UID)
	}
	go func() {
		fds := []unix.PollFd{{Fd: int32(v.notify.FD()), Events: unix.POLLIN}}
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
	upstream := newEnviron(v.Environ).value(sdnotify.Variable)
	for message, ok := v.notify.Receive(); ok; message, ok = v.notify.Receive() {
		sdnotify.Send(upstream, message)
		if sdnotify.SaysReady(message) {
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
	return v.notify.Environ()
}
