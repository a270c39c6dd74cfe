package main

import (
	"context"
	"fmt"
	"path"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

func lsCommand() command {
	return command{
		name:      "ls",
		arguments: "[GLOB]",
		most:      1,
		summary:   "list the names of the values (that match GLOB, as DB_*)",
		flags:     func() []urfave.Flag { return []urfave.Flag{jsonFlag(), waitFlag()} },
		run:       ls,
	}
}

func ls(ctx context.Context, c *call) error {
	glob := c.Args().First()
	if _, err := path.Match(glob, ""); err != nil {
		return c.misuse("%q is no glob", glob)
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var names []string
	err = c.patiently(ctx, func(ctx context.Context) error {
		names, err = values.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if glob != "" {
		names = slices.DeleteFunc(names, func(name string) bool {
			matched, _ := path.Match(glob, name)
			return !matched
		})
	}
	if err := c.printNames(names); err != nil || len(names) > 0 {
		return err
	}
	if glob != "" {
		return silent{exitNothing}
	}
	return &failure{
		err:  fmt.Errorf("list values: %w: there are none at this prefix", discovery.ErrNotFound),
		hint: "values stand below PREFIX/environment/, where PREFIX is the path of the registry's URL: see whether it is the right one",
	}
}
