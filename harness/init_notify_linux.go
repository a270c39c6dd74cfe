package harness

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/sdnotify"
)

// commandSocket is where COMMAND says that it is ready, with Ready notify. What it says is passed on to whoever waits
// for the harness itself to be ready (systemd, an outer harness).
type commandSocket struct {
	*sdnotify.Socket
	upstream string     // the address that it is passed on to
	mu       sync.Mutex // held by whoever takes what it said
}

// listen makes COMMAND's notify socket, if it is to have one.
func (r *readiness) listen() {
	if r.Init.Ready != ReadyNotify {
		return
	}
	r.socket = &commandSocket{Socket: sdnotify.Listen(), upstream: newEnviron(r.Environ).value(sdnotify.Variable)}
	if r.socket.FD() < 0 {
		r.Log.Warn("no notify socket could be opened, so the command cannot say that it is ready")
		return
	}
	if r.base.user != nil {
		r.socket.Also = int(r.base.user.UID)
	}
	go func() {
		fds := []unix.PollFd{{Fd: int32(r.socket.FD()), Events: unix.POLLIN}}
		for {
			unix.Poll(fds, -1)
			r.receive()
		}
	}()
}

// receive takes what COMMAND has said, and passes it on.
func (r *readiness) receive() {
	r.socket.mu.Lock()
	defer r.socket.mu.Unlock()
	for message, ok := r.socket.Receive(); ok; message, ok = r.socket.Receive() {
		sdnotify.Send(r.socket.upstream, message)
		if sdnotify.SaysReady(message) {
			notice(r.notified)
		}
	}
}

// discard takes what a COMMAND that has exited has said last, so that it is not taken for the next one's.
func (r *readiness) discard() {
	if r.socket == nil {
		return
	}
	r.receive()
	select {
	case <-r.notified:
	default:
	}
}

// environ is the entry that names the socket.
func (r *readiness) environ() []string {
	if r.socket == nil {
		return nil
	}
	return r.socket.Environ()
}
