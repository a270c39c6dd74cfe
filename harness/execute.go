package harness

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/text"
)

// execute runs one executable within its time and turns a bad end into an error.
func (s *startup) execute(path string, env *environ, export bool) (outcome, error) {
	s.closeInherited()
	began := time.Now()
	expires, limit := s.expiry(began)
	if limit == deadlineOption && !began.Before(expires) {
		return outcome{}, &Error{Subject: path, Problem: "not run: start-up's deadline of " + s.Deadline.String() + " has passed", Next: "raise --deadline"}
	}
	out, err := s.processes.run(execution{
		path:    path,
		env:     env.listWithout(notifySocketName, s.offers(env)...),
		stdin:   uintptr(s.null),
		stderr:  s.Stderr.Fd(),
		export:  export,
		expires: expires,
	})
	took := text.Duration(time.Since(began))
	switch {
	case errors.Is(err, errStopped):
		return outcome{}, err
	case err != nil:
		return outcome{}, explainExec(path, env.list(), err)
	case s.processes.stoppedBy() != 0:
		return outcome{}, errStopped
	case out.held != nil:
		return out, nil
	case out.flooded:
		return outcome{}, &Error{
			Subject: path,
			Problem: fmt.Sprintf("printed more than %d bytes and was killed after %s", maxCapture, took),
			Next:    "print the value alone; messages belong on stderr",
			outcome: timeline.Refused,
		}
	case out.timedOut:
		return outcome{}, &Error{
			Subject: path,
			Problem: "timed out after " + took + " (--" + limit + " " + s.limitOf(limit).String() + ")",
			Next:    "give it more time with --" + limit + ", or let it give up sooner itself",
			outcome: timeline.TimedOut,
		}
	case out.status != 0:
		return outcome{}, &Error{Subject: path, Problem: describe(out.status) + " after " + took, Next: statusHint(out.status), outcome: timeline.Failed}
	}
	return out, nil
}

// The options that limit an executable's time.
const (
	timeoutOption  = "timeout"
	deadlineOption = "deadline"
)

// expiry is when an executable that begins now runs out of time, and by which option.
func (s *startup) expiry(now time.Time) (at time.Time, option string) {
	if s.Timeout > 0 {
		at, option = now.Add(s.Timeout), timeoutOption
	}
	if !s.deadline.IsZero() && (at.IsZero() || s.deadline.Before(at)) {
		at, option = s.deadline, deadlineOption
	}
	return at, option
}

func (s *startup) limitOf(option string) time.Duration {
	if option == deadlineOption {
		return s.Deadline
	}
	return s.Timeout
}

func (s *startup) deadlinePassed() bool {
	return !s.deadline.IsZero() && !time.Now().Before(s.deadline)
}

// describe tells how a process ended.
func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		text := "killed by " + signalName(status.Signal())
		if status.CoreDump() {
			text += " (core dumped)"
		}
		return text
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// statusHint explains the exit statuses that shells give a meaning.
func statusHint(status syscall.WaitStatus) string {
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return "somebody killed it: often the kernel, when memory ran out"
	case status.Exited() && status.ExitStatus() == 127:
		return "a command that it calls was not found: is it in this image, and in PATH?"
	case status.Exited() && status.ExitStatus() == 126:
		return "a command that it calls could not be executed: check its permissions"
	}
	return ""
}

// outcomeOf is a failure in one or two words, for the timeline.
func outcomeOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return timeline.OK
	case errors.Is(err, errStopped):
		return timeline.Stopped
	case errors.As(err, &e) && e.outcome != "":
		return e.outcome
	}
	return timeline.Failed
}

// openNull opens what executables get as stdin: /dev/null, or where an image has none, a pipe at its end. It
// is a bare descriptor, because an os.File would start Go's poller, which the harness does not use.
func openNull() (int, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return -1, &Error{Subject: os.DevNull, Problem: "cannot open it, nor a pipe in its place: " + text.Reason(err), Err: err}
	}
	unix.Close(ends[1])
	return ends[0], nil
}
