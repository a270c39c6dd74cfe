package main

import (
	"context"

	urfave "github.com/urfave/cli/v2"
)

func servicesCommand() command {
	return command{
		name:    "services",
		summary: "list the names of the services that have an instance",
		flags:   func() []urfave.Flag { return []urfave.Flag{jsonFlag(), waitFlag()} },
		run:     services,
	}
}

func services(ctx context.Context, c *call) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var names []string
	err = c.patiently(ctx, func(ctx context.Context) error {
		names, err = registry.Services(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return c.printNames(names)
}
