package main

import (
	"context"
	"time"

	"github.com/envharness/envharness/internal/cli"
)

func (p *program) rmCommand() cli.Command {
	var wait time.Duration
	return cli.Command{
		Name:      "rm",
		Arguments: "NAME",
		Least:     1,
		Most:      1,
		Summary:   "remove a value",
		Example:   "envdiscover rm DATABASE_URL",
		Options:   []cli.Option{waitOption(&wait)},
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.rm(ctx, wait) }),
	}
}

func (c *call) rm(ctx context.Context, wait time.Duration) error {
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	return patiently(ctx, wait, func(ctx context.Context) error { return values.Delete(ctx, c.Args[0]) })
}
