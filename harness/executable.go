package harness

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
	flooded  bool   // it printed more than maxCapture and was killed
	held     *watch // it said READY=1 and runs on
}

// run starts one executable and stays with it until it has exited or has said that it is ready (sd_notify(3)),
// and everything that it printed is there. An error means that it could not be started.
//
// It blocks in poll(2) instead of using goroutines and Go's poller: that is most of what makes the harness
// faster than a shell's own loop.
func (ps *processes) run(x execution) (outcome, error) {
	line, err := ps.takeLine()
	if err != nil {
		return outcome{}, err
	}
	stdout := uintptr(line.write)
	if x.export {
		stdout = x.stderr
	}
	p := &process{lenient: x.export}
	err = ps.start(p, launch{
		path:  x.path,
		argv:  []string{x.path},
		env:   append(x.env, line.notify.environ()...),
		files: []uintptr{x.stdin, stdout, x.stderr},
		sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	line.closeWrite()
	if x.export {
		line.closeRead()
	}
	if err != nil {
		line.close()
		return outcome{}, err
	}
	ps.spareLine()
	w := &watch{process: p, line: line, pidfd: p.pidfd, expires: x.expires}
	return w.wait()
}

// line is what connects the harness with one executable: the pipe of its stdout and its notify socket.
type line struct {
	read, write int // -1 once closed
	notify      *notifySocket
}

func newLine() (*line, error) {
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &line{read: ends[0], write: ends[1], notify: listenNotify()}, nil
}

func (l *line) closeRead()  { closeOnce(&l.read) }
func (l *line) closeWrite() { closeOnce(&l.write) }

func (l *line) close() {
	l.closeRead()
	l.closeWrite()
	l.notify.close()
}

func closeOnce(fd *int) {
	if *fd >= 0 {
		syscall.Close(*fd)
		*fd = -1
	}
}

// takeLine gives the line that was made ahead, or a new one.
func (ps *processes) takeLine() (*line, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if l := ps.spare; l != nil {
		ps.spare = nil
		return l, nil
	}
	return newLine()
}

// spareLine makes a line ahead, in the time that the executable just started takes anyway.
func (ps *processes) spareLine() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.spare == nil {
		ps.spare, _ = newLine()
	}
}

// watch is the state of one wait for an executable.
type watch struct {
	process *process
	line    *line
	pidfd   int // -1 once the exit was seen
	expires time.Time
	killAt  time.Time // after a time-out's TERM
	endAt   time.Time // after the exit, for output that a background process may still print
	exited  bool
	outcome outcome
}

// wait stays with the executable until it has exited and its output has ended, or until it is ready.
func (w *watch) wait() (outcome, error) {
	for !w.exited || w.line.read >= 0 {
		ready, err := w.step(w.nextDeadline())
		if err != nil {
			w.line.close()
			return w.outcome, err
		}
		if ready > 0 && !w.exited {
			w.outcome.output = latest(w.readRest(), ready)
			w.outcome.held, w.expires = w, time.Time{}
			w.process.hold()
			return w.outcome, nil
		}
		w.checkDeadlines(time.Now())
	}
	w.line.close()
	w.outcome.status = w.process.finish()
	return w.outcome, nil
}

// step waits for one thing to happen and tells how often the executable has said READY=1.
func (w *watch) step(until time.Time) (ready int, err error) {
	fds := [...]unix.PollFd{
		{Fd: int32(w.line.read), Events: unix.POLLIN},
		{Fd: int32(w.pidfd), Events: unix.POLLIN},
		{Fd: int32(w.line.notify.fd), Events: unix.POLLIN},
	}
	if err := pollUntil(fds[:], until); err != nil {
		return 0, err
	}
	if fds[0].Revents != 0 {
		w.readOutput()
	}
	w.lookForExit(fds[1].Revents != 0)
	if fds[2].Revents != 0 {
		ready = w.line.notify.ready()
	}
	return ready, nil
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
			w.line.closeRead()
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
	var short [512]byte // most values are, and fresh memory has its price
	out, room := w.outcome.output, short[:]
	if len(out) > 0 {
		out = slices.Grow(out, min(len(out)+len(short), maxCapture+1-len(out)))
		room = out[len(out):cap(out)]
	}
	n, err := syscall.Read(w.line.read, room)
	switch {
	case err == syscall.EINTR || err == syscall.EAGAIN:
		return
	case err != nil || n == 0:
		w.line.closeRead()
		return
	}
	w.outcome.output = append(out, room[:n]...)
	if len(w.outcome.output) > maxCapture {
		w.outcome.flooded = true
		w.outcome.output = nil
		w.line.closeRead()
		w.process.signal(syscall.SIGKILL)
	}
}

// readRest takes what is in the pipe, and gives all output. What an executable printed before it said
// READY=1 is there by then.
func (w *watch) readRest() []byte {
	for w.line.read >= 0 {
		fds := [...]unix.PollFd{{Fd: int32(w.line.read), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds[:], 0); n == 0 || err != nil && err != unix.EINTR {
			break
		}
		w.readOutput()
	}
	return w.outcome.output
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
