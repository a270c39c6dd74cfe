package child

import (
	"bytes"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// barrierWait is how long a sender of READY=1 may take to ask for its barrier.
const barrierWait = 50 * time.Millisecond

// Hook is an executable that said READY=1 and runs on. It is followed from then on, whatever the harness does
// meanwhile.
type Hook struct {
	*Wait
	Output []byte                  // that it had printed when it became ready
	pushed chan []byte             // the newest value that it has made known and nobody has taken
	exited chan syscall.WaitStatus // its end
}

// NewHook begins to follow an executable that is ready.
func NewHook(w *Wait) *Hook {
	h := &Hook{Wait: w, Output: w.outcome.Output, pushed: make(chan []byte, 1), exited: make(chan syscall.WaitStatus, 1)}
	go func() { h.exited <- w.follow(h.push) }()
	return h
}

// push leaves a value in the place of one that nobody has taken.
func (h *Hook) push(output []byte) {
	select {
	case <-h.pushed:
	default:
	}
	h.pushed <- slices.Clone(output)
}

// Follow hands its values on until it has exited.
func (h *Hook) Follow(push func(output []byte)) syscall.WaitStatus {
	for {
		select {
		case output := <-h.pushed:
			push(output)
		case status := <-h.exited:
			select {
			case output := <-h.pushed: // its last
				push(output)
			default:
			}
			return status
		}
	}
}

// Discard ends an executable that nobody wants to stay, and returns when it has exited.
func (w *Wait) Discard() {
	w.End(KillAfter)
	w.follow(func([]byte) {})
}

// Release lets the executable run on beside COMMAND, with nobody to follow it.
func (w *Wait) Release() {
	w.awaitBarrier()
	w.Close()
}

// Close gives up its output and its notify socket.
func (w *Wait) Close() { w.pipe.close() }

// awaitBarrier gives systemd-notify(1) the moment in which it asks, by BARRIER=1 and a descriptor to close,
// whether its READY=1 was heard: it fails when the socket is gone by then.
func (w *Wait) awaitBarrier() {
	fds := []unix.PollFd{{Fd: int32(w.pipe.notify.FD()), Events: unix.POLLIN}}
	pollUntil(fds, time.Now().Add(barrierWait))
	w.pipe.notify.Ready()
}

// End asks an executable to go, and kills it when it has not gone in time, which 0 does not limit. Somebody
// else waits for it.
func (w *Wait) End(in time.Duration) {
	w.process.end()
	if in > 0 {
		time.AfterFunc(in, func() { w.process.Signal(syscall.SIGKILL) })
	}
}

// follow stays with a long-running hook until it has exited. Each value that it makes known by saying READY=1
// again goes to push.
func (w *Wait) follow(push func(output []byte)) syscall.WaitStatus {
	output, count := w.outcome.Output, 1
	w.outcome.Output = nil
	for !w.exited {
		var until time.Time
		if w.process.pidfd < 0 {
			until = time.Now().Add(pollEvery)
		}
		ready, err := w.step(until)
		if err != nil {
			w.process.Signal(syscall.SIGKILL)
		}
		if ready == 0 {
			continue
		}
		if fresh := w.readRest(); len(fresh) > 0 {
			output, count = fresh, ready
		} else {
			count += ready
		}
		w.outcome.Output = nil
		push(latest(output, count))
	}
	w.pipe.close()
	return w.process.finish()
}

// latest is the value that counts when READY=1 was said count times for output: an executable may have
// printed its next values before the harness read the first. They are taken to have equally many lines, and
// output that cannot be cut so is one value, for which it said READY=1 more than once.
func latest(output []byte, count int) []byte {
	lines := bytes.SplitAfter(bytes.TrimSuffix(output, []byte("\n")), []byte("\n"))
	if count < 2 || len(lines)%count != 0 {
		return output
	}
	return bytes.Join(lines[len(lines)-len(lines)/count:], nil)
}

// PID is its process ID.
func (w *Wait) PID() int { return w.process.pid }
