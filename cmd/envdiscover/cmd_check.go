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

// checking is the options of check.
type checking struct {
	timeout time.Duration
	json    bool
}

func (p *program) checkCommand() cli.Command {
	k := &checking{timeout: service.DefaultTimeout}
	return cli.Command{
		Name:      "check",
		Arguments: "http|tcp|exec|registry TARGET [-- ARG...]",
		Least:     1,
		Most:      -1,
		Summary:   "look once whether a URL, HOST:PORT, program or registry is well",
		Example:   "envdiscover check http http://127.0.0.1:8080/healthz",
		Options: []cli.Option{
			{Name: "timeout", Argument: "D", Usage: "wait for D at most", Target: &k.timeout},
			{Name: "json", Usage: "print JSON, of a registry", Target: &k.json},
			p.urlOption(),
		},
		Alone: true,
		Run:   p.runs(func(ctx context.Context, c *call) error { return c.check(ctx, k) }),
	}
}

func (c *call) check(ctx context.Context, k *checking) error {
	kind, timeout := c.Args[0], k.timeout
	switch {
	case kind != "exec" && len(c.Args) > 2:
		return c.Misuse("%q is one argument too many", c.Args[2])
	case timeout == 0:
		return c.Misuse("--timeout cannot be 0")
	case kind == "registry":
		return c.checkRegistry(ctx, k)
	case len(c.Args) < 2:
		return c.Misuse("TARGET is missing")
	case k.json, c.Said("url"):
		return c.Misuse("--json and --url are for check registry")
	}
	probe, err := c.probe(kind, c.Args[1])
	if err != nil {
		return err
	}
	if kind == "exec" {
		if err := lookUpHelper(c.Args[1]); err != nil {
			return err
		}
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
	return nil, c.Misuse("a check is http, tcp, exec or registry, not %q", kind)
}
