package harness

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/envfmt"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

const (
	gatherFor     = 250 * time.Millisecond // how long changes are gathered before something follows
	gatherAtMost  = 5 * time.Second        // even when they do not stop coming
	retryWriteMax = 30 * time.Second       // the longest delay before the file is tried again
	writeLimit    = 2 * time.Second        // how long signals may wait for a disk
)

// changes gathers changes of the environment, so that one thing follows all of them, and keeps the file current that
// COMMAND may read.
type changes struct {
	*Harness
	base  *startup
	state *state
	file  output        // of Write
	files output        // of AsFile
	told  []string      // what COMMAND has, sorted; nil when it does not know
	timer *time.Timer   // when something is to follow
	until time.Time     // when it has to, zero while nothing has changed
	retry backoff.Delay // of a write that failed

	delayed bool          // what follows waits for its random time
	running []string      // what COMMAND is to have, while Exec runs with it
	again   backoff.Delay // of an Exec that failed
	ran     chan error
}

func newChanges(s *startup, st *state) *changes {
	return &changes{Harness: s.Harness, base: s, state: st,
		file: newOutput(s.Init.Write, "write"), files: newOutput(s.Files, "files"),
		timer: newStoppedTimer(), ran: make(chan error, 1),
		retry: backoff.Delay{First: retryFirst, Most: retryWriteMax}, again: backoff.Delay{First: retryFirst, Most: retryWriteMax},
	}
}

// gather waits for more changes before one thing follows all of them: until none came for gatherFor, but not
// for ever.
func (c *changes) gather() {
	if c.retry.Grown() || c.delayed || c.running != nil {
		return // they wait for the file, too, for the random time, or for what runs
	}
	now := time.Now()
	if c.until.IsZero() {
		c.until = now.Add(gatherAtMost)
	}
	c.timer.Reset(min(gatherFor, max(c.until.Sub(now), 0)))
}

// due ends the gathering, and tells whether COMMAND has other values than it should.
func (c *changes) due() bool {
	c.until = time.Time{}
	if c.running != nil {
		return false
	}
	due := !slices.Equal(c.told, c.state.forCommand())
	c.delayed = c.delayed && due
	return due
}

// delay begins the random time before what follows, and tells whether it did: once a change.
func (c *changes) delay() bool {
	if c.Init.Delay <= 0 || c.delayed {
		c.delayed = false
		return false
	}
	c.delayed = true
	c.timer.Reset(time.Duration(rand.Int64N(int64(c.Init.Delay))))
	return true
}

// execute runs Exec with the new values, unless it runs already.
func (c *changes) execute() {
	c.running = c.state.forCommand()
	current := c.state.forHooks()
	env := c.state.commandEnvironment()
	go func() {
		out, err := current.execute(entry{name: c.Init.Exec, path: c.Init.Exec, at: c.Init.Exec}, env, true)
		if out.Held != nil {
			out.Held.Discard()
		}
		c.ran <- err
	}()
}

// executed takes the end of Exec. What has changed meanwhile follows; one that failed is tried again.
func (c *changes) executed(err error) {
	told := c.running
	c.running = nil
	if err == nil {
		c.told = told
		c.again.Reset()
		c.timer.Reset(0)
		return
	}
	delay := c.again.Next()
	c.Log.Warn("what follows a change failed", "problem", err.Error(), "again in", text.Duration(delay))
	c.timer.Reset(delay)
}

// write brings what COMMAND reads up to date, and tells whether it is there. COMMAND is not told of a change before it is:
// the timer fires again.
func (c *changes) write() bool {
	err := c.writeOutputs()
	if err == nil {
		c.retry.Reset()
		return true
	}
	delay := c.retry.Next()
	c.Log.Warn("values have changed and the command is not told", "problem", err.Error(), "again in", text.Duration(delay))
	c.timer.Reset(delay)
	return false
}

func (c *changes) writeOutputs() error {
	if len(c.AsFile) > 0 {
		if err := c.files.write(c.state.startup().filesWriter()); err != nil {
			return err
		}
	}
	if c.Init.Write == "" {
		return nil
	}
	variables := c.state.decided()
	return c.file.write(func() error { return c.base.writeEnvironment(variables) })
}

// output is a file or directory that is kept current for COMMAND.
type output struct {
	path, option string
	outcome      chan error // of a write
	late         bool       // one has not ended in its time
}

func newOutput(path, option string) output {
	return output{path: path, option: option, outcome: make(chan error, 1)}
}

// write calls f, or gives up on a disk that does not answer. That write then goes on alone, and there is no second one
// before it has ended: it would be stuck as well, and what the first one writes may be older.
func (o *output) write(f func() error) error {
	late := &Error{
		Subject: o.path,
		Problem: "did not answer for " + text.Duration(writeLimit) + " (--" + o.option + ")",
		Next:    "is it on a file system whose server is away?",
	}
	if o.late {
		select {
		case <-o.outcome:
		default:
			return late
		}
	}
	go func() { o.outcome <- f() }()
	select {
	case err := <-o.outcome:
		o.late = false
		return err
	case <-time.After(writeLimit):
		o.late = true
		return late
	}
}

// writeEnvironment keeps the dotenv file current for commands that read it themselves.
func (s *startup) writeEnvironment(variables []Variable) error {
	if s.Init.Write == "" {
		return nil
	}
	content, err := envfmt.MarshalDotenv(variables)
	if err != nil {
		return cannotCarry(s.Init.Write, err)
	}
	if err := s.writeForCommand(s.Init.Write, content); err != nil {
		return &Error{Subject: s.Init.Write, Problem: "cannot be written (--write): " + text.Reason(err), Next: securefile.Hint(err, "name a file in a directory that the harness may write to, by a path without links of other users"), Err: err}
	}
	return nil
}

// cannotCarry names each variable that keeps the file from being written.
func cannotCarry(path string, err error) error {
	var refused *multierror.Error
	Each(err, func(one error) {
		refused = multierror.Append(refused, &Error{
			Subject: path,
			Problem: one.Error() + " (--write)",
			Next:    "give it another name or value, or do without --write",
			Err:     one,
		})
	})
	return refused
}

// writeForCommand replaces a file for COMMAND's user alone. A path in which that user has a say, by a link or a
// FIFO of theirs, is written to as that user, who cannot have the harness write where only root may.
func (s *startup) writeForCommand(path string, content []byte) error {
	const mode = 0o600
	if s.user == nil {
		return securefile.Write(path, content, mode, nil)
	}
	err := securefile.Write(path, content, mode, &securefile.Owner{UID: int(s.user.UID), GID: int(s.user.GID)})
	if errors.Is(err, securefile.ErrForeign) {
		return s.user.Run(func() error { return securefile.Write(path, content, mode, nil) })
	}
	return err
}
