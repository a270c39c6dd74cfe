package harness

import (
	"bytes"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// notifySocketName is the variable that names a notify socket, sd_notify(3).
const notifySocketName = "NOTIFY_SOCKET"

// barrierWait is how long a sender of READY=1 may take to ask for its barrier.
const barrierWait = 50 * time.Millisecond

// holder is an executable that said READY=1 and runs on. It is followed from then on, whatever the harness does
// meanwhile.
type holder struct {
	entry  entry
	watch  *watch
	output []byte                  // that it had printed when it became ready
	pushed chan []byte             // the newest value that it has made known and nobody has taken
	exited chan syscall.WaitStatus // its end
}

func newHolder(e entry, w *watch) *holder {
	h := &holder{entry: e, watch: w, output: w.outcome.output, pushed: make(chan []byte, 1), exited: make(chan syscall.WaitStatus, 1)}
	go func() { h.exited <- w.follow(h.push) }()
	return h
}

// push leaves a value in the place of one that nobody has taken.
func (h *holder) push(output []byte) {
	select {
	case <-h.pushed:
	default:
	}
	h.pushed <- slices.Clone(output)
}

// follow hands its values on until it has exited.
func (h *holder) follow(push func(output []byte)) syscall.WaitStatus {
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

// hold decides what becomes of a held executable of /environment: under Init it stays and pushes new values,
// without Init it has given its one value and is ended.
func (s *startup) hold(e entry, w *watch, wanted bool) {
	if s.Init.Enabled && wanted {
		s.discoverers = append(s.discoverers, newHolder(e, w))
		return
	}
	w.end(killAfter)
	if s.Init.Enabled {
		go w.follow(func([]byte) {})
	} else {
		w.line.close()
	}
}

// holdExport does the same for /export: under Init it is kept running, without Init it runs on beside COMMAND.
func (s *startup) holdExport(e entry, w *watch) {
	if s.Init.Enabled {
		s.exporters = append(s.exporters, newHolder(e, w))
		return
	}
	w.awaitBarrier()
	w.line.close()
}

// awaitBarrier gives systemd-notify(1) the moment in which it asks, by BARRIER=1 and a descriptor to close,
// whether its READY=1 was heard: it fails when the socket is gone by then.
func (w *watch) awaitBarrier() {
	fds := []unix.PollFd{{Fd: int32(w.line.notify.fd), Events: unix.POLLIN}}
	pollUntil(fds, time.Now().Add(barrierWait))
	w.line.notify.ready()
}

// end asks an executable to go, and kills it when it has not gone in time, which 0 does not limit. Somebody
// else waits for it.
func (w *watch) end(in time.Duration) {
	w.process.signal(syscall.SIGTERM)
	w.process.signal(syscall.SIGCONT)
	if in > 0 {
		time.AfterFunc(in, func() { w.process.signal(syscall.SIGKILL) })
	}
}

// follow stays with a held executable until it has exited. Each value that it makes known by saying READY=1
// again goes to push.
func (w *watch) follow(push func(output []byte)) syscall.WaitStatus {
	output, count := w.outcome.output, 1
	w.outcome.output = nil
	for !w.exited {
		var until time.Time
		if w.process.pidfd < 0 {
			until = time.Now().Add(pollEvery)
		}
		ready, err := w.step(until)
		if err != nil {
			w.process.signal(syscall.SIGKILL)
		}
		if ready == 0 {
			continue
		}
		if fresh := w.readRest(); len(fresh) > 0 {
			output, count = fresh, ready
		} else {
			count += ready
		}
		w.outcome.output = nil
		push(latest(output, count))
	}
	w.line.close()
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
