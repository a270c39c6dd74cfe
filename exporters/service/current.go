package service

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// hostInterval is the time from one look for the instance's address to the next.
const hostInterval = 5 * time.Second

// current is an instance as it is announced. Its check and its address change it.
type current struct {
	registration discovery.Registration
	log          *slog.Logger

	lock     sync.Mutex
	instance discovery.Instance
}

// change announces the instance with a change, one at a time.
func (c *current) change(ctx context.Context, make func(*discovery.Instance)) {
	c.lock.Lock()
	defer c.lock.Unlock()
	make(&c.instance)
	err := c.registration.Update(ctx, c.instance)
	if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
		c.log.Warn("cannot register the change yet", "service", c.instance.Service, "state", c.instance.State, "host", c.instance.Host, "error", err)
	}
}

// followCheck announces what the check says of the instance.
func (c *current) followCheck(ctx context.Context, check Check) {
	check.run(ctx, func(state discovery.State, reason error) {
		log := c.log.With("service", c.instance.Service, "id", c.registration.ID())
		if state == discovery.Failing {
			log.Warn("the check fails", "error", reason)
		} else {
			log.Info("the check passes")
		}
		c.change(ctx, func(in *discovery.Instance) { in.State, in.Reason = state, wordsOf(reason) })
	})
}

// followHost announces where the instance is.
func (c *current) followHost(ctx context.Context, find func() (string, error)) {
	ticker := time.NewTicker(hostInterval)
	defer ticker.Stop()
	was := c.instance.Host // nothing else changes it
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		host, err := find()
		if err != nil || host == was {
			continue
		}
		c.log.Warn("the address of this host has changed, registering the new one", "service", c.instance.Service, "old", was, "new", host)
		was = host
		c.change(ctx, func(in *discovery.Instance) { in.Host = host })
	}
}
