package main

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
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
	if err := c.printNames(names); err != nil || len(names) > 0 {
		return err
	}
	return &failure{
		err:  fmt.Errorf("list services: %w: nothing is registered at this prefix", discovery.ErrNotFound),
		hint: "see whether the prefix, the path of the registry's URL, is the right one, and ?layout= that of who registers",
	}
}
