package main

import (
	"context"

	urfave "github.com/urfave/cli/v2"
)

func rmCommand() command {
	return command{
		name:      "rm",
		arguments: "NAME",
		least:     1,
		most:      1,
		summary:   "remove a value",
		flags:     func() []urfave.Flag { return []urfave.Flag{waitFlag()} },
		run:       rm,
	}
}

func rm(ctx context.Context, c *call) error {
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	return c.patiently(ctx, func(ctx context.Context) error { return values.Delete(ctx, c.Args().First()) })
}
