package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/follow"
)

func (p *program) watchCommand() cli.Command {
	s, wait := &selection{}, time.Duration(0)
	return cli.Command{
		Name:      "watch",
		Arguments: "SERVICE [-- PROGRAM [ARG...]]",
		Least:     1,
		Most:      -1,
		Summary:   "print each snapshot as JSON, or run PROGRAM with it on stdin",
		Example:   "envdiscover watch web -- ./reload",
		Options:   append(s.options(), s.allOption(), waitOption(&wait)),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.watch(ctx, s.query(), wait) }),
	}
}

func (c *call) watch(ctx context.Context, query discovery.Query, wait time.Duration) error {
	words := c.Args[1:]
	if len(words) > 0 {
		if err := lookUpHelper(words[0]); err != nil {
			return err
		}
	}
	ctx, registry, end, err := c.openHeld(ctx, nil)
	if err != nil {
		return err
	}
	defer end()
	var snapshots <-chan discovery.Snapshot
	err = patiently(ctx, wait, func(context.Context) error {
		snapshots, err = registry.Watch(ctx, c.Args[0], query)
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return c.runAtEach(ctx, snapshots, words)
	}
	for snapshot := range snapshots {
		line, err := json.Marshal(snapshot)
		if err != nil {
			return err
		}
		if _, err := c.stdout.Write(append(line, '\n')); err != nil {
			return err
		}
		if err := c.notify("READY=1"); err != nil {
			return err
		}
	}
	return nil
}

// runAtEach runs the program with each snapshot, see [follow.Each].
func (c *call) runAtEach(ctx context.Context, snapshots <-chan discovery.Snapshot, words []string) error {
	each := follow.Program{Words: words, Stdout: c.stdout, Stderr: c.stderr}
	return follow.Each(ctx, snapshots, func(ctx context.Context, s discovery.Snapshot) (bool, error) {
		if err := each.Run(ctx, s); err != nil {
			if ctx.Err() == nil {
				c.Log.Warn("the program failed, it is run again", "program", words[0], "error", err)
			}
			return false, nil
		}
		return true, c.notify("READY=1")
	})
}
