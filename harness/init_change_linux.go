package harness

import (
	"errors"
	"slices"
	"time"

	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

const (
	gatherFor     = 250 * time.Millisecond // how long changes are gathered before something follows
	gatherAtMost  = 5 * time.Second        // even when they do not stop coming
	retryWriteMax = 30 * time.Second       // the longest delay before the file is tried again
)

// changes gathers changes of the environment, so that one thing follows all of them, and keeps the file current that
// COMMAND may read.
type changes struct {
	*Harness
	base  *startup
	state *state
	told  []string      // what COMMAND has, sorted; nil when it does not know
	timer *time.Timer   // when something is to follow
	until time.Time     // when it has to, zero while nothing has changed
	retry backoff.Delay // of a write that failed
}

func newChanges(s *startup, st *state) *changes {
	return &changes{Harness: s.Harness, base: s, state: st, timer: newStoppedTimer(), retry: backoff.Delay{First: retryFirst, Most: retryWriteMax}}
}

// gather waits for more changes before one thing follows all of them: until none came for gatherFor, but not
// for ever.
func (c *changes) gather() {
	if c.retry.Grown() {
		return // they wait for the file, too
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
	return !slices.Equal(c.told, c.state.forCommand())
}

// write writes the environment file, and tells whether it is there. COMMAND is not told of a change before it is:
// the timer fires again.
func (c *changes) write() bool {
	err := c.base.writeEnvironment(c.state.decided())
	if err == nil {
		c.retry.Reset()
		return true
	}
	delay := c.retry.Next()
	c.Log.Warn("values have changed and the command is not told", "problem", err.Error(), "again in", text.Duration(delay))
	c.timer.Reset(delay)
	return false
}

// writeEnvironment keeps the dotenv file current for commands that read it themselves.
func (s *startup) writeEnvironment(variables []Variable) error {
	if s.Init.Write == "" {
		return nil
	}
	content, err := envfmt.MarshalDotenv(variables)
	if err != nil {
		return err
	}
	if err := s.writeForCommand(s.Init.Write, content); err != nil {
		return &Error{Subject: s.Init.Write, Problem: "cannot be written (--write): " + text.Reason(err), Next: "name a file in a directory that the harness may write to, by a path without links of other users", Err: err}
	}
	return nil
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
