package harness

import (
	"os"
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

// execution is one try of one executable.
type execution struct {
	path    string
	env     []string
	stdin   uintptr
	stderr  uintptr
	export  bool      // stdout goes to stderr and the group outlives its leader; else stdout is captured
	expires time.Time // when it is timed out; never when zero
}

// outcome is how a try went. Its status says nothing of one that is held: it has not exited.
type outcome struct {
	output   []byte
	status   syscall.WaitStatus
	timedOut bool
	flooded  bool // it printed more than maxCapture and was killed
	held     *process
}

// run starts one executable and stays with it until it has exited or has said that it is ready (sd_notify(3)),
// and everything that it printed is there. An error means that it could not be started.
//
// It blocks in poll(2) instead of using goroutines and Go's poller: that is most of what makes the harness
// faster than a shell's own loop.
func (ps *processes) run(x execution) (outcome, error) {
	n := listenNotify()
	defer n.close()
	read, write := -1, int(x.stderr)
	if !x.export {
		var ends [2]int
		if err := pipe(&ends); err != nil {
			return outcome{}, os.NewSyscallError("pipe", err)
		}
		read, write = ends[0], ends[1]
	}
	w := &watch{notify: n, stdout: read, expires: x.expires, pidfd: -1}
	defer w.closeStdout()
	p, err := ps.start(x.path, append(x.env, n.environ()...), [3]uintptr{x.stdin, uintptr(write), x.stderr}, x.export)
	if !x.export {
		syscall.Close(write)
	}
	if err != nil {
		return outcome{}, err
	}
	w.process, w.pidfd = p, p.pidfd
	return w.wait()
}

// watch is the state of one wait for an executable.
type watch struct {
	process *process
	notify  *notifySocket
	stdout  int // -1 once it has ended
	pidfd   int // -1 once the exit was seen
	expires time.Time
	killAt  time.Time // after a time-out's TERM
	endAt   time.Time // after the exit, for output that a background process may still print
	exited  bool
	outcome outcome
}

func (w *watch) wait() (outcome, error) {
	for !w.exited || w.stdout >= 0 {
		fds := [...]unix.PollFd{
			{Fd: int32(w.stdout), Events: unix.POLLIN},
			{Fd: int32(w.pidfd), Events: unix.POLLIN},
			{Fd: int32(w.notify.fd), Events: unix.POLLIN},
		}
		if err := pollUntil(fds[:], w.nextDeadline()); err != nil {
			return w.outcome, err
		}
		if fds[0].Revents != 0 {
			w.readOutput()
		}
		w.lookForExit(fds[1].Revents != 0)
		if fds[2].Revents != 0 && w.notify.ready() && !w.exited {
			return w.hold(), nil
		}
		w.checkDeadlines(time.Now())
	}
	w.outcome.status = w.process.finish()
	return w.outcome, nil
}

func (w *watch) nextDeadline() time.Time {
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

func (w *watch) checkDeadlines(now time.Time) {
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case w.exited:
		if passed(w.endAt) {
			w.closeStdout()
		}
	case passed(w.killAt):
		w.process.signal(syscall.SIGKILL)
		w.killAt, w.expires = time.Time{}, time.Time{}
	case w.killAt.IsZero() && passed(w.expires):
		w.outcome.timedOut = true
		w.process.signal(syscall.SIGTERM)
		w.process.signal(syscall.SIGCONT)
		w.killAt = now.Add(killAfter)
	}
}

func (w *watch) lookForExit(signalled bool) {
	if w.exited || !signalled && (w.process.pidfd >= 0 || !hasExited(w.process.pid)) {
		return
	}
	w.exited, w.pidfd = true, -1
	w.endAt = time.Now().Add(outputGrace)
}

// readOutput takes what is in the pipe. One read a turn: what does not fit comes with the next.
func (w *watch) readOutput() {
	const room = 4096
	out := w.outcome.output
	if cap(out)-len(out) < room {
		out = append(make([]byte, 0, 2*cap(out)+room), out...)
	}
	n, err := syscall.Read(w.stdout, out[len(out):cap(out)])
	switch {
	case err == syscall.EINTR || err == syscall.EAGAIN:
		return
	case err != nil || n == 0:
		w.closeStdout()
		return
	}
	w.outcome.output = out[:len(out)+n]
	if len(w.outcome.output) > maxCapture {
		w.outcome.flooded = true
		w.outcome.output = nil
		w.closeStdout()
		w.process.signal(syscall.SIGKILL)
	}
}

// hold leaves the executable running. What it printed before it said READY=1 is in the pipe by now.
func (w *watch) hold() outcome {
	for w.stdout >= 0 {
		fds := [...]unix.PollFd{{Fd: int32(w.stdout), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds[:], 0); n == 0 || err != nil && err != unix.EINTR {
			break
		}
		w.readOutput()
	}
	w.outcome.held = w.process
	return w.outcome
}

func (w *watch) closeStdout() {
	if w.stdout >= 0 {
		syscall.Close(w.stdout)
		w.stdout = -1
	}
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
