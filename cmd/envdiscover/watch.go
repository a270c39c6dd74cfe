package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

// stopPatience is how long a PROGRAM may take to end at TERM.
const stopPatience = 2 * time.Second

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
	ctx, stop, err := c.heldContext(ctx)
	if err != nil {
		return err
	}
	defer stop()
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
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
	if program := c.Args().Slice()[1:]; len(program) > 0 {
		return c.runAtEach(ctx, snapshots, program)
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

// runAtEach runs the program with each snapshot, one at a time; those that come meanwhile are not waited for, the
// newest counts. A program that fails is run again with back-off.
func (c *call) runAtEach(ctx context.Context, snapshots <-chan discovery.Snapshot, program []string) error {
	if _, err := exec.LookPath(program[0]); err != nil {
		return err
	}
	var newest discovery.Snapshot
	var backoff discovery.Backoff
	again := time.NewTimer(0)
	again.Stop()
	for {
		select {
		case snapshot, ok := <-snapshots:
			if !ok {
				return nil
			}
			if snapshot.Stale {
				continue // nothing new is known
			}
			newest = snapshot
			backoff.Reset()
		case <-again.C:
		}
		err := c.runWith(ctx, newest, program)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			c.log.Warn("the program failed, it is run again", "program", program[0], "error", err)
			again.Reset(backoff.Next())
			continue
		}
		again.Stop()
		if err := c.notify("READY=1"); err != nil {
			return err
		}
	}
}

// runWith runs the program with a snapshot on its stdin. At the end of ctx it gets TERM.
func (c *call) runWith(ctx context.Context, s discovery.Snapshot, program []string) error {
	input, err := json.Marshal(s)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	err = cmd.Run()
	if errors.Is(err, syscall.EPIPE) { // it did not want to read
		return nil
	}
	return err
}
