package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/exporters/service"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) checkCommand() cli.Command {
	timeout := service.DefaultTimeout
	return cli.Command{
		Name:      "check",
		Arguments: "http|tcp|exec TARGET [-- ARG...]",
		Least:     2,
		Most:      -1,
		Summary:   "look once whether a URL, a HOST:PORT or a program is well",
		Example:   "envdiscover check http http://127.0.0.1:8080/healthz",
		Options:   []cli.Option{{Name: "timeout", Argument: "D", Usage: "wait for D at most", Target: &timeout}},
		Alone:     true,
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.check(ctx, timeout) }),
	}
}

func (c *call) check(ctx context.Context, timeout time.Duration) error {
	kind := c.Args[0]
	if kind != "exec" && len(c.Args) > 2 {
		return c.Misuse("%q is one argument too many", c.Args[2])
	}
	probe, err := c.probe(kind, c.Args[1])
	if err != nil {
		return err
	}
	if timeout == 0 {
		return c.Misuse("--timeout cannot be 0")
	}
	if err := service.Look(ctx, probe, timeout); err != nil {
		hint := ""
		if kind == "http" && errors.Is(err, driver.ErrSpeaksTLS) {
			hint = "write https://"
		}
		return failed(fmt.Errorf("check %s: %w", kind, err), exitFailure, hint)
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
		return service.Exec(target, c.Args[2:]...)
	}
	return nil, c.Misuse("a check is http, tcp or exec, not %q", kind)
}
