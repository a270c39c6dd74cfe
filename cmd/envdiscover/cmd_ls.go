package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

// lister is the options of what lists names.
type lister struct {
	json bool
	wait time.Duration
}

func (l *lister) options() []cli.Option {
	return []cli.Option{jsonOption(&l.json), waitOption(&l.wait)}
}

func (p *program) lsCommand() cli.Command {
	l := &lister{}
	return cli.Command{
		Name:      "ls",
		Arguments: "[GLOB]",
		Most:      1,
		Summary:   "list the names of the values (that match GLOB, as DB_*)",
		Example:   "envdiscover ls 'DB_*'",
		Options:   l.options(),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.ls(ctx, l) }),
	}
}

func (c *call) ls(ctx context.Context, l *lister) error {
	glob := strings.Join(c.Args, "")
	if _, err := path.Match(glob, ""); err != nil {
		return c.Misuse("%q is no glob", glob)
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var names []string
	err = patiently(ctx, l.wait, func(ctx context.Context) error {
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
	if err := c.printNames(names, l.json); err != nil || len(names) > 0 {
		return err
	}
	if glob != "" {
		return silent{exitNothing}
	}
	return failed(fmt.Errorf("list values: %w: there are none at this prefix", discovery.ErrNotFound), 0,
		"values stand below PREFIX/environment/, where PREFIX is the path of the registry's URL: see whether it is the right one")
}
