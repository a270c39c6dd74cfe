package main

import (
	"context"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) getCommand() cli.Command {
	f := &finder{}
	return cli.Command{
		Name:      "get",
		Arguments: "NAME",
		Least:     1,
		Most:      1,
		Summary:   "print a value",
		Example:   "envdiscover get DATABASE_URL --wait 30s",
		Options:   append(f.options(), cli.Option{Name: "raw", Usage: "print the bytes alone, no newline behind them", Target: &f.raw}),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.get(ctx, f) }),
	}
}

func (c *call) get(ctx context.Context, f *finder) error {
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	name := c.Args[0]
	return c.find(ctx, f, question{
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
