package main

import (
	"context"
	"fmt"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) servicesCommand() cli.Command {
	l := &lister{}
	return cli.Command{
		Name:    "services",
		Summary: "list the names of the services that have an instance",
		Example: "envdiscover services",
		Options: l.options(),
		Run:     p.runs(func(ctx context.Context, c *call) error { return c.services(ctx, l) }),
	}
}

func (c *call) services(ctx context.Context, l *lister) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var names []string
	err = patiently(ctx, l.wait, func(ctx context.Context) error {
		names, err = registry.Services(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.printNames(names, l.json); err != nil || len(names) > 0 {
		return err
	}
	return failed(fmt.Errorf("cannot list services: %w: nothing is registered at this prefix", discovery.ErrNotFound), 0,
		"see whether the prefix, the path of the registry's URL, is the right one, and ?layout= that of who registers")
}
