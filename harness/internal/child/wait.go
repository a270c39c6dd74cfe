package child

import (
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// outputGrace is how long a background process may keep stdout open after the executable has exited.
	outputGrace = 300 * time.Millisecond
	// pollEvery is how often an exit is looked for on a kernel that has no pidfd.
	pollEvery = 5 * time.Millisecond
)

// Wait is the state of one wait for an executable.
type Wait struct {
	process *Process
	pipe    *pipe
	pidfd   int // -1 once the exit was seen
	expires time.Time
	killAt  time.Time // after a time-out's TERM
	endAt   time.Time // after the exit, for output that a background process may still print
	limit   int       // of its output
	exited  bool
	outcome Outcome
}

// wait stays with the executable until it has exited and its output has ended, or until it is ready.
func (w *Wait) wait() (Outcome, error) {
	defer w.process.returnTerminal()
	for !w.exited || w.pipe.read >= 0 {
		ready, err := w.step(w.nextLook(w.nextDeadline()))
		if err != nil {
			w.pipe.close()
			return w.outcome, err
		}
		if ready > 0 && !w.exited {
			w.outcome.Output = latest(w.readRest(), ready)
			w.outcome.Held, w.expires = w, time.Time{}
			w.process.hold()
			return w.outcome, nil
		}
		w.process.lendTerminal()
		w.checkDeadlines(time.Now())
	}
	w.pipe.close()
	had := w.process.returnTerminal()
	w.outcome.Status = w.process.finish()
	if had && !w.outcome.TimedOut {
		w.outcome.Ended = interruptOf(w.outcome.Status)
	}
	return w.outcome, nil
}

// nextLook is until, or sooner where the executable may be stopped for the terminal, of which no descriptor tells.
func (w *Wait) nextLook(until time.Time) time.Time {
	if !w.process.owner.loan.possible() {
		return until
	}
	if look := time.Now().Add(lookEvery); until.IsZero() || look.Before(until) {
		return look
	}
	return until
}

// step waits for one thing to happen and tells how often the executable has said READY=1.
func (w *Wait) step(until time.Time) (ready int, err error) {
	fds := [...]unix.PollFd{
		{Fd: int32(w.pipe.read), Events: unix.POLLIN},
		{Fd: int32(w.pidfd), Events: unix.POLLIN},
		{Fd: int32(w.pipe.notify.FD()), Events: unix.POLLIN},
	}
	if err := pollUntil(fds[:], until); err != nil {
		return 0, err
	}
	if fds[0].Revents != 0 {
		w.readOutput()
	}
	w.lookForExit(fds[1].Revents != 0)
	if fds[2].Revents != 0 {
		ready = w.pipe.notify.Ready()
		w.outcome.Valid = w.pipe.notify.Valid()
	}
	return ready, nil
}

func (w *Wait) nextDeadline() time.Time {
	switch {
	case w.exited:
		return w.endAt
	case w.process.pidfd < 0:
		return time.Now().Add(pollEvery)
	case !w.killAt.IsZero():
		return w.killAt
	default:
		return w.expires
	}
}

func (w *Wait) checkDeadlines(now time.Time) {
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case w.exited:
		if passed(w.endAt) {
			w.pipe.closeRead()
		}
	case passed(w.killAt):
		w.process.Signal(syscall.SIGKILL)
		w.killAt, w.expires = time.Time{}, time.Time{}
	case w.killAt.IsZero() && passed(w.expires):
		w.outcome.TimedOut, w.outcome.Awaits = true, w.process.awaitsTerminal()
		w.process.end()
		w.killAt = now.Add(KillAfter)
	}
}

func (w *Wait) lookForExit(signalled bool) {
	if w.exited || !signalled && (w.process.pidfd >= 0 || !hasExited(w.process.pid)) {
		return
	}
	w.exited, w.pidfd = true, -1
	w.endAt = time.Now().Add(outputGrace)
}

// readOutput takes what is in the pipe. One read a turn: what does not fit comes with the next.
func (w *Wait) readOutput() {
	var short [512]byte // most values are, and fresh memory has its price
	out, room := w.outcome.Output, short[:]
	if len(out) > 0 {
		out = slices.Grow(out, min(len(out)+len(short), w.limit+1-len(out)))
		room = out[len(out):cap(out)]
	}
	n, err := syscall.Read(w.pipe.read, room)
	switch {
	case err == syscall.EINTR || err == syscall.EAGAIN:
		return
	case err != nil || n == 0:
		w.pipe.closeRead()
		return
	}
	w.outcome.Output = append(out, room[:n]...)
	if len(w.outcome.Output) > w.limit {
		w.outcome.Flooded = true
		w.outcome.Output = nil
		w.pipe.closeRead()
		w.process.Signal(syscall.SIGKILL)
	}
}

// readRest takes what is in the pipe, and gives all output. What an executable printed before it said
// READY=1 is there by then.
func (w *Wait) readRest() []byte {
	for w.pipe.read >= 0 {
		fds := [...]unix.PollFd{{Fd: int32(w.pipe.read), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds[:], 0); n == 0 || err != nil && err != unix.EINTR {
			break
		}
		w.readOutput()
	}
	return w.outcome.Output
}

// pollUntil waits for a descriptor or a time; a zero time waits for ever, a negative descriptor is not
// looked at. An interrupted wait returns early, as one that found nothing.
func pollUntil(fds []unix.PollFd, until time.Time) error {
	timeout := -1
	if !until.IsZero() {
		left := max(time.Until(until), 0)
		timeout = int((left + time.Millisecond - 1) / time.Millisecond)
	}
	_, err := unix.Poll(fds, timeout)
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("poll", err)
}
