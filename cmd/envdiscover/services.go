package main

import (
	"context"

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
	return c.printNames(names, l.json)
}
