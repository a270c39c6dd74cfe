package main

import (
	"context"
	"encoding/json"
	"os/exec"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/follow"
)

func watchCommand() command {
	return command{
		name:      "watch",
		arguments: "SERVICE [-- PROGRAM [ARG...]]",
		least:     1,
		most:      -1,
		summary:   "print each snapshot as JSON, or run PROGRAM with it on stdin",
		flags: func() []urfave.Flag {
			return append(queryFlags(), allFlag(), waitFlag())
		},
		run: watch,
	}
}

func watch(ctx context.Context, c *call) error {
	ctx, registry, end, err := c.openHeld(ctx)
	if err != nil {
		return err
	}
	defer end()
	var snapshots <-chan discovery.Snapshot
	err = c.patiently(ctx, func(context.Context) error {
		snapshots, err = registry.Watch(ctx, c.Args().First(), c.query())
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if words := c.Args().Slice()[1:]; len(words) > 0 {
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
	if _, err := exec.LookPath(words[0]); err != nil {
		return err
	}
	each := follow.Program{Words: words, Stdout: c.stdout, Stderr: c.stderr}
	return follow.Each(ctx, snapshots, func(ctx context.Context, s discovery.Snapshot) (bool, error) {
		if err := each.Run(ctx, s); err != nil {
			if ctx.Err() == nil {
				c.log.Warn("the program failed, it is run again", "program", words[0], "error", err)
			}
			return false, nil
		}
		return true, c.notify("READY=1")
	})
}
