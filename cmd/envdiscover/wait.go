package main

import (
	"context"
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

func waitCommand() command {
	return command{
		name:      "wait",
		arguments: "SERVICE",
		least:     1,
		most:      1,
		summary:   "wait until so many instances of a service pass",
		flags: func() []urfave.Flag {
			return append([]urfave.Flag{
				&urfave.IntFlag{Name: "count", Usage: "`N` instances", Value: 1},
				bounded("timeout", "wait for `D` at most", time.Minute),
			}, queryFlags()...)
		},
		run: wait,
	}
}

func wait(ctx context.Context, c *call) error {
	if c.Int("count") < 1 {
		return c.misuse("--count cannot be less than 1")
	}
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	service, timeout := c.Args().First(), c.Duration("timeout")
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	watch := func(ctx context.Context) (<-chan discovery.Snapshot, error) {
		return registry.Watch(ctx, service, c.query())
	}
	last := finding{err: discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("the registry was not asked in %s", timeout))}
	for f := range findings(ctx, watch, func(s discovery.Snapshot) finding { return c.enough(s, timeout) }) {
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
func (c *call) enough(s discovery.Snapshot, timeout time.Duration) finding {
	count := c.Int("count")
	if len(s.Instances) >= count {
		return finding{stale: s.Stale}
	}
	err := fmt.Errorf("%w enough: %d of %d pass after %s", discovery.ErrNoInstance, len(s.Instances), count, timeout)
	return finding{stale: s.Stale, err: &discovery.Error{Op: "wait for", Name: s.Service, Err: err}}
}
