package harness

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

const (
	// stuckFor is how long a harness that has no executable to wait for may take to end.
	stuckFor = 2 * time.Second
	// stopLimit is how long one may take that a signal ends: KILL comes 5 s after it.
	stopLimit = 8 * time.Second
	// hearEvery is how often a signal is looked for that a stuck thread should have taken.
	hearEvery = 500 * time.Millisecond
	// stuckEvery is how often it is looked at.
	stuckEvery = 100 * time.Millisecond
)

// endStuck ends the process when it should end and does not, though no executable runs any more: a file system does
// not answer, or nobody reads a full stderr. It runs in a goroutine of its own, as the one that is stuck cannot be
// woken. A limit that is not 0 ends it in any case. last is called before, and over says that all is well.
func endStuck(children *child.Children, code int, limit time.Duration, last func(), over func() bool) {
	began := time.Now()
	for idle := time.Duration(0); idle < stuckFor && (limit == 0 || time.Since(began) < limit); idle += stuckEvery {
		time.Sleep(stuckEvery)
		if over() {
			return
		}
		if children.Busy() {
			idle = 0
		}
	}
	last()
	os.Exit(code)
}

// hearWhileStuck lets a signal be taken that the kernel has given to a thread that a file system holds: it chooses the
// main thread when it may, and wakes no other one. A thread that changes its mask looks for what is pending.
func (s *startup) hearWhileStuck() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !s.started.Load() {
		time.Sleep(hearEvery)
		takePending()
	}
}

// guardDeadline ends a start-up that is stuck when its deadline passes.
func (s *startup) guardDeadline() {
	if s.deadline.IsZero() {
		return
	}
	time.AfterFunc(time.Until(s.deadline), func() {
		endStuck(s.children, ExitStartup, 0, s.tellStuck, s.started.Load)
	})
}

// tellStuck says why start-up ends, if stderr takes it.
func (s *startup) tellStuck() {
	fds := []unix.PollFd{{Fd: int32(s.Stderr.Fd()), Events: unix.POLLOUT}}
	if n, _ := unix.Poll(fds, 0); n > 0 {
		text := "envharness: error: start-up's deadline of " + s.Deadline.String() + " has passed, and a file system does not answer\n"
		unix.Write(int(s.Stderr.Fd()), []byte(text))
	}
}

// patiently calls f, which may wait for somebody else: for the writer of a FIFO, for a file system that does not
// answer. It gives up when start-up is stopped, and when the time of --timeout or --deadline is over; f then waits
// on alone, until the process ends.
func patiently[T any](s *startup, subject string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	began := time.Now()
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	expires, option := s.expiry(began)
	var over <-chan time.Time // never without a limit
	if !expires.IsZero() {
		over = time.After(time.Until(expires))
	}
	var nothing T
	select {
	case r := <-done:
		return r.value, r.err
	case <-s.children.Halted():
		return nothing, child.ErrStopped
	case <-over:
		return nothing, &Error{
			Subject: subject,
			Problem: "did not answer for " + text.Duration(time.Since(began)) + " (--" + option + " " + s.limitOf(option).String() + ")",
			Next:    "is it a FIFO that nobody writes to, or a file system whose server is away? --" + option + " gives it more time",
		}
	}
}
