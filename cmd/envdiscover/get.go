package main

import (
	"context"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

func getCommand() command {
	return command{
		name:      "get",
		arguments: "NAME",
		least:     1,
		most:      1,
		summary:   "print a value",
		flags: func() []urfave.Flag {
			return append(findFlags(), &urfave.BoolFlag{Name: "raw", Usage: "the bytes alone, no newline behind them"})
		},
		run: get,
	}
}

func get(ctx context.Context, c *call) error {
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	name := c.Args().First()
	return c.find(ctx, question{
		about: name,
		once: func(ctx context.Context) ([]byte, error) {
			return values.Get(ctx, name)
		},
		watch: func(ctx context.Context) <-chan finding {
			watch := func(ctx context.Context) (<-chan discovery.Value, error) { return values.WatchValue(ctx, name) }
			return findings(ctx, watch, func(v discovery.Value) finding { return valueFinding(name, v) })
		},
	})
}

func valueFinding(name string, v discovery.Value) finding {
	if !v.Found {
		return finding{stale: v.Stale, err: &discovery.Error{Op: "read value", Name: name, Err: discovery.ErrNotFound}}
	}
	return finding{stale: v.Stale, text: v.Data}
}
