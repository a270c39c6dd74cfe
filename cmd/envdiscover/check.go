package main

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/exporters/service"
)

func checkCommand() command {
	return command{
		name:      "check",
		arguments: "http|tcp|exec TARGET [-- ARG...]",
		least:     2,
		most:      -1,
		summary:   "look once whether a URL, a HOST:PORT or a program is well",
		flags: func() []urfave.Flag {
			return []urfave.Flag{bounded("timeout", "for `D` at most", service.DefaultTimeout)}
		},
		run: check,
	}
}

func check(ctx context.Context, c *call) error {
	kind, target := c.Args().First(), c.Args().Get(1)
	if kind != "exec" && c.NArg() > 2 {
		return c.misuse("%q is one argument too many", c.Args().Get(2))
	}
	probe, err := c.probe(kind, target)
	if err != nil {
		return err
	}
	timeout := c.Duration("timeout")
	if timeout == 0 {
		return c.misuse("--timeout cannot be 0")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := probe(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer after %s: %w", timeout, err)
		}
		return &failure{err: fmt.Errorf("check %s: %w", kind, err), code: exitFailure}
	}
	return nil
}

func (c *call) probe(kind, target string) (service.Probe, error) {
	switch kind {
	case "http":
		return service.HTTP(target)
	case "tcp":
		return service.TCP(target)
	case "exec":
		return service.Exec(target, c.Args().Slice()[2:]...)
	}
	return nil, c.misuse("a check is http, tcp or exec, not %q", kind)
}
