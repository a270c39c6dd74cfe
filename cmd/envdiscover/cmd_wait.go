package main

import (
	"context"
	"fmt"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

// waiter is the options of wait.
type waiter struct {
	count   int
	timeout time.Duration
}

func (p *program) waitCommand() cli.Command {
	w, s := &waiter{count: 1, timeout: time.Minute}, &selection{}
	own := []cli.Option{
		{Name: "count", Argument: "N", Usage: "wait for N instances", Target: &w.count},
		{Name: "timeout", Argument: "D", Usage: "wait for D at most", Target: &w.timeout},
	}
	return cli.Command{
		Name:      "wait",
		Arguments: "SERVICE",
		Least:     1,
		Most:      1,
		Summary:   "wait until so many instances of a service pass",
		Example:   "envdiscover wait web --count 2",
		Options:   append(own, s.options()...),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.waitFor(ctx, w, s.query()) }),
	}
}

func (c *call) waitFor(ctx context.Context, w *waiter, query discovery.Query) error {
	if w.count < 1 {
		return c.Misuse("--count cannot be less than 1")
	}
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	if w.timeout == 0 {
		s, err := registry.Instances(ctx, c.Args[0], query)
		if err != nil {
			return err
		}
		return w.enough(s).err
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	watch := func(ctx context.Context) (<-chan discovery.Snapshot, error) {
		return registry.Watch(ctx, c.Args[0], query)
	}
	last := finding{err: discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("the registry was not asked in %s", w.timeout))}
	for f := range findings(ctx, watch, func(s discovery.Snapshot) finding { return w.enough(s) }) {
		if !f.stale {
			last = f
		}
		if last.err == nil {
			return nil
		}
	}
	return last.err
}

// enough judges a snapshot.
func (w *waiter) enough(s discovery.Snapshot) finding {
	if len(s.Instances) >= w.count {
		return finding{stale: s.Stale}
	}
	err := fmt.Errorf("%w: %d of %d pass after %s", discovery.ErrNoInstance, len(s.Instances), w.count, w.timeout)
	return finding{stale: s.Stale, err: &discovery.Error{Op: "wait for", Name: s.Service, Err: err}}
}
