package harness

import (
	"slices"
	"time"

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
	base       *startup
	state      *state
	told       []string    // what COMMAND has, sorted; nil when it does not know
	timer      *time.Timer // when something is to follow
	until      time.Time   // when it has to, zero while nothing has changed
	writeDelay time.Duration
}

func newChanges(s *startup, st *state) *changes {
	return &changes{Harness: s.Harness, base: s, state: st, timer: newStoppedTimer()}
}

// gather waits for more changes before one thing follows all of them: until none came for gatherFor, but not
// for ever.
func (c *changes) gather() {
	if c.writeDelay > 0 {
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
		c.writeDelay = 0
		return true
	}
	c.writeDelay = backOff(c.writeDelay, retryWriteMax)
	c.Log.Warn("values have changed and the command is not told", "problem", err.Error(), "again in", text.Duration(c.writeDelay))
	c.timer.Reset(jitter(c.writeDelay))
	return false
}
