package child

import (
	"cmp"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/sdnotify"
)

const (
	// outputGrace is how long a background process may keep stdout open after the executable has exited.
	outputGrace = 300 * time.Millisecond
	// pollEvery is how often an exit is looked for on a kernel that has no pidfd.
	pollEvery = 5 * time.Millisecond
	// MaxOutput bounds what is kept of one output. It is far above what execve(2) takes for one variable, so that
	// whatever is refused for its size is refused by the rule that names the size, and so small that memory stays
	// flat.
	MaxOutput = 1 << 20
)

// Execution is one try of one executable.
type Execution struct {
	Path      string
	Argv      []string // [Path] when nil
	Env       []string
	Stdin     uintptr
	Stderr    uintptr
	Export    bool      // stdout goes to stderr and the group outlives its leader; else stdout is captured
	Expires   time.Time // when it is timed out; never when zero
	MaxOutput int       // MaxOutput when 0
	Meanwhile func()    // is called once while it runs; may be nil
}

// Outcome is how a try went. Its status says nothing of one that is held: it has not exited.
type Outcome struct {
	Output   []byte
	Status   syscall.WaitStatus
	TimedOut bool
	Flooded  bool          // it printed more than MaxOutput and was killed
	Held     *Wait         // it said READY=1 and runs on
	Valid    time.Duration // how long it said that its value is good (VALID_USEC=N), 0 for ever
}

// Run starts one executable and stays with it until it has exited or has said that it is ready (sd_notify(3)),
// and everything that it printed is there. An error means that it could not be started.
//
// It blocks in poll(2) instead of using goroutines and Go's poller: that is most of what makes the harness
// faster than a shell's own loop.
func (ps *Children) Run(x Execution) (Outcome, error) {
	line, err := ps.takeLine()
	if err != nil {
		return Outcome{}, err
	}
	stdout := uintptr(line.write)
	if x.Export {
		stdout = x.Stderr
	}
	if x.Argv == nil {
		x.Argv = []string{x.Path}
	}
	p := &Process{lenient: x.Export}
	err = ps.start(p, Launch{
		Path:  x.Path,
		Argv:  x.Argv,
		Env:   append(x.Env, line.notify.Environ()...),
		Files: []uintptr{x.Stdin, stdout, x.Stderr},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	line.closeWrite()
	if x.Export {
		line.closeRead()
	}
	if err != nil {
		line.close()
		return Outcome{}, err
	}
	ps.spareLine()
	line.notify.Accept = p.sent
	if x.Meanwhile != nil {
		x.Meanwhile()
	}
	w := &Wait{process: p, line: line, pidfd: p.pidfd, expires: x.Expires, limit: cmp.Or(x.MaxOutput, MaxOutput)}
	return w.wait()
}

// line is what connects the harness with one executable: the pipe of its stdout and its notify socket.
type line struct {
	read, write int // -1 once closed
	notify      *sdnotify.Socket
}

func newLine() (*line, error) {
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &line{read: ends[0], write: ends[1], notify: sdnotify.Listen()}, nil
}

func (l *line) closeRead()  { closeOnce(&l.read) }
func (l *line) closeWrite() { closeOnce(&l.write) }

func (l *line) close() {
	l.closeRead()
	l.closeWrite()
	l.notify.Close()
}

func closeOnce(fd *int) {
	if *fd >= 0 {
		syscall.Close(*fd)
		*fd = -1
	}
}

// takeLine gives the line that was made ahead, or a new one.
func (ps *Children) takeLine() (*line, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if l := ps.spare; l != nil {
		ps.spare = nil
		return l, nil
	}
	return newLine()
}

// spareLine makes a line ahead, in the time that the executable just started takes anyway.
func (ps *Children) spareLine() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.spare == nil {
		ps.spare, _ = newLine()
	}
}

// Wait is the state of one wait for an executable.
type Wait struct {
	process *Process
	line    *line
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
	for !w.exited || w.line.read >= 0 {
		ready, err := w.step(w.nextDeadline())
		if err != nil {
			w.line.close()
			return w.outcome, err
		}
		if ready > 0 && !w.exited {
			w.outcome.Output = latest(w.readRest(), ready)
			w.outcome.Held, w.expires = w, time.Time{}
			w.process.hold()
			return w.outcome, nil
		}
		w.checkDeadlines(time.Now())
	}
	w.line.close()
	w.outcome.Status = w.process.finish()
	return w.outcome, nil
}

// step waits for one thing to happen and tells how often the executable has said READY=1.
func (w *Wait) step(until time.Time) (ready int, err error) {
	fds := [...]unix.PollFd{
		{Fd: int32(w.line.read), Events: unix.POLLIN},
		{Fd: int32(w.pidfd), Events: unix.POLLIN},
		{Fd: int32(w.line.notify.FD()), Events: unix.POLLIN},
	}
	if err := pollUntil(fds[:], until); err != nil {
		return 0, err
	}
	if fds[0].Revents != 0 {
		w.readOutput()
	}
	w.lookForExit(fds[1].Revents != 0)
	if fds[2].Revents != 0 {
		ready = w.line.notify.Ready()
		w.outcome.Valid = w.line.notify.Valid()
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
			w.line.closeRead()
		}
	case passed(w.killAt):
		w.process.Signal(syscall.SIGKILL)
		w.killAt, w.expires = time.Time{}, time.Time{}
	case w.killAt.IsZero() && passed(w.expires):
		w.outcome.TimedOut = true
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
	n, err := syscall.Read(w.line.read, room)
	switch {
	case err == syscall.EINTR || err == syscall.EAGAIN:
		return
	case err != nil || n == 0:
		w.line.closeRead()
		return
	}
	w.outcome.Output = append(out, room[:n]...)
	if len(w.outcome.Output) > w.limit {
		w.outcome.Flooded = true
		w.outcome.Output = nil
		w.line.closeRead()
		w.process.Signal(syscall.SIGKILL)
	}
}

// readRest takes what is in the pipe, and gives all output. What an executable printed before it said
// READY=1 is there by then.
func (w *Wait) readRest() []byte {
	for w.line.read >= 0 {
		fds := [...]unix.PollFd{{Fd: int32(w.line.read), Events: unix.POLLIN}}
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

// OpenNull opens what executables get as stdin: /dev/null, or where an image has none, a pipe at its end. It
// is a bare descriptor, because an os.File would start Go's poller, which the harness does not use.
func OpenNull() (int, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return -1, err
	}
	unix.Close(ends[1])
	return ends[0], nil
}
