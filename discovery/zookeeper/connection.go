package zookeeper

import (
	"context"
	"sync"
	"time"
)

// sharedTimeout is the time-out of the shared connection's session: a server that says nothing for two thirds
// of it is taken for gone.
const sharedTimeout = 6 * time.Second

// connection is the shared one, for all but ephemeral nodes. When it is lost its session is given up, and with
// it every watch, and the next call makes another.
type connection struct {
	backend *backend

	lock    sync.Mutex
	current *session
	closed  bool
}

// get gives the session, begun if need be.
func (c *connection) get(context.Context) (*session, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.current == nil || c.current.isOver() {
		s, err := c.backend.begin(sharedTimeout, true, sharedRoom)
		if err != nil {
			return nil, err
		}
		c.current = s
	}
	return c.current, nil
}

func (c *connection) close() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.closed = true
	if c.current != nil {
		c.current.close()
	}
}
