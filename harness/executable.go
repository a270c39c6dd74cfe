package harness

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/explain"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/address"
	"github.com/envharness/envharness/internal/sdnotify"
	"github.com/envharness/envharness/internal/text"
)

// execute runs one executable within its time and turns a bad end into an error.
func (s *startup) execute(e entry, env *environ.Environ, export bool) (child.Outcome, error) {
	s.closeInherited()
	path := e.path
	began := time.Now()
	expires, limit := s.expiry(began)
	if limit == deadlineOption && !began.Before(expires) {
		return child.Outcome{}, &Error{Subject: path, Problem: "not run: start-up's deadline of " + s.Deadline.String() + " has passed", Next: "raise --deadline"}
	}
	x := child.Execution{
		Path:      e.at,
		Env:       s.fitting(env).ListWithout(sdnotify.Variable, s.offers(env)...),
		Stdin:     uintptr(s.null),
		Stderr:    s.Stderr.Fd(),
		Export:    export,
		Expires:   expires,
		Cancel:    e.cancel,
		Meanwhile: s.meanwhile,
	}
	if e.isSet() {
		x.MaxOutput = maxFile
	}
	out, err := s.start(e, x)
	if out.Ended != 0 && s.signals != nil {
		s.signals.receive(out.Ended, s.children) // Ctrl-C was meant for the harness, too
	}
	took := text.Duration(time.Since(began))
	switch {
	case errors.Is(err, child.ErrStopped):
		return child.Outcome{}, err
	case err != nil:
		return child.Outcome{}, s.explainExec(e, export, env.List(), err)
	case s.children.StoppedBy() != 0, e.cancel.Cancelled() && out.Held == nil:
		return child.Outcome{}, child.ErrStopped
	case out.Held != nil:
		return out, nil
	case out.Flooded:
		return child.Outcome{}, &Error{
			Subject: path,
			Problem: fmt.Sprintf("printed more than %d bytes and was killed after %s", cmp.Or(x.MaxOutput, child.MaxOutput), took),
			Next:    "print the value alone; messages belong on stderr",
			Kind:    timeline.Refused,
		}
	case out.Awaits:
		return child.Outcome{}, &Error{
			Subject: path,
			Problem: "timed out after " + took + " (--" + limit + " " + s.limitOf(limit).String() + "), stopped because it uses the terminal, which the harness does not have",
			Next:    "start the harness in the foreground of the terminal, or let the executable ask nobody",
			Kind:    timeline.TimedOut,
		}
	case out.TimedOut:
		return child.Outcome{}, &Error{
			Subject: path,
			Problem: "timed out after " + took + " (--" + limit + " " + s.limitOf(limit).String() + ")",
			Next:    "give it more time with --" + limit + ", or let it give up sooner itself",
			Kind:    timeline.TimedOut,
		}
	case out.Status != 0:
		return child.Outcome{}, &Error{Subject: path, Problem: child.Describe(out.Status) + " after " + took, Next: statusHint(out.Status), Kind: timeline.Failed}
	}
	return out, nil
}

// start starts an executable, and in another way where the first does not work: from where its link leads now when the
// generation that it was found in has gone, and with ExecutableContent a script by its interpreter.
func (s *startup) start(e entry, x child.Execution) (child.Outcome, error) {
	out, err := s.children.Run(x)
	if errors.Is(err, fs.ErrNotExist) && isStale(e) {
		x.Path = e.path
		out, err = s.children.Run(x)
	}
	if s.Executable == ExecutableContent && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)) {
		argv, script := interpreted(x.Path)
		if argv != nil {
			x.Path, x.Argv = argv[0], argv
			return s.children.Run(x)
		}
		if script {
			return out, syscall.ENOEXEC
		}
	}
	return out, err
}

// explainExec says why execve(2) refused an executable.
func (s *startup) explainExec(e entry, export bool, env []string, err error) error {
	problem, hint := s.explained(e, e.path, export).Exec([]string{e.path}, env, err)
	if isMounted(e) && strings.HasPrefix(hint, "chmod ") {
		hint = modeHint
		if s.Executable != ExecutableContent {
			hint = volumeHint
		}
	}
	return &Error{Subject: e.path, Problem: "cannot be executed: " + problem, Next: hint, Err: err}
}

// explained is an executable to be explained.
func (s *startup) explained(e entry, path string, export bool) explain.File {
	return explain.File{Path: path, Entry: true, Interpreted: s.Executable == ExecutableContent, Value: !export}
}

// closeInherited closes the inherited descriptors for executables, before the first of them.
func (s *startup) closeInherited() {
	s.shut.Do(func() { s.inherited = child.CloseInherited() })
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
	case errors.Is(err, child.ErrStopped):
		return timeline.Stopped
	case errors.As(err, &e) && e.Kind != "":
		return e.Kind
	}
	return timeline.Failed
}

// runningHook is an entry whose executable said READY=1 and runs on.
type runningHook struct {
	entry entry
	hook  *child.Hook
}

// hold decides about a long-running hook of /environment: under Init it stays and pushes new values,
// without Init it has given its one value and is ended.
func (s *startup) hold(e entry, w *child.Wait, wanted bool) {
	if s.Init.Enabled && wanted {
		s.discoverers = append(s.discoverers, runningHook{e, child.NewHook(w)})
		return
	}
	if s.Init.Enabled {
		go w.Discard()
		return
	}
	w.End(child.KillAfter)
	w.Close()
}

// holdExport does the same for /export: under Init it is kept running, without Init it runs on beside COMMAND.
func (s *startup) holdExport(e entry, w *child.Wait) {
	if s.Init.Enabled {
		s.exporters = append(s.exporters, runningHook{e, child.NewHook(w)})
		return
	}
	w.Release()
}

// offers are the entries that executables get and COMMAND does not: CONTAINER_HOST and DOCKERD, when they
// are unset.
func (s *startup) offers(env *environ.Environ) []string {
	var list []string
	for _, offer := range s.offered() {
		if !env.Has(offer.name) && offer.value != "" {
			list = append(list, offer.name+"="+offer.value)
		}
	}
	return list
}

type offer struct{ name, value string }

// findOffers asks the kernel; a start-up without executables never does.
func findOffers() []offer {
	host, dockerd := address.Offers()
	return []offer{{"CONTAINER_HOST", host}, {"DOCKERD", dockerd}}
}
