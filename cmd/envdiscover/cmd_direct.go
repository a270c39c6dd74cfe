package main

import (
	"context"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/exporters/director"
	"github.com/envharness/envharness/internal/cli"
)

// directTimeout is how long one run of the director's PROGRAM may take.
const directTimeout = 30 * time.Second

// directing is the options of direct.
type directing struct {
	value        string
	ttl, timeout time.Duration
	wait         time.Duration
}

func (p *program) directCommand() cli.Command {
	d, s := &directing{ttl: discovery.DefaultTTL, timeout: directTimeout}, &selection{}
	own := []cli.Option{
		{Name: "value", Argument: "NAME", Usage: "publish what PROGRAM prints as the value NAME", Target: &d.value},
		{Name: "ttl", Argument: "D", Usage: "let another take over D after a death", Target: &d.ttl},
		{Name: "timeout", Argument: "D", Usage: "end a run of PROGRAM after D; 0 never does", Target: &d.timeout},
	}
	return cli.Command{
		Name:      "direct",
		Arguments: "SERVICE --value NAME -- PROGRAM [ARG...]",
		Least:     1,
		Most:      -1,
		Summary:   "make a value of each snapshot by PROGRAM, one in the cluster",
		Example:   "envdiscover direct db --value DATABASE_URL -- ./primary",
		Options:   append(append(own, s.options()...), s.allOption(), waitOption(&d.wait)),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.direct(ctx, d, s.query()) }),
	}
}

func (c *call) direct(ctx context.Context, d *directing, query discovery.Query) error {
	words := c.Args[1:]
	switch {
	case d.value == "":
		return c.Misuse("--value NAME is missing")
	case len(words) == 0:
		return c.Misuse("PROGRAM is missing")
	}
	if err := discovery.ValidValueName(d.value); err != nil {
		return err
	}
	if err := lookUpHelper(words[0]); err != nil {
		return err
	}
	ctx, registry, end, err := c.openHeld(ctx, nil)
	if err != nil {
		return err
	}
	defer end()
	run := director.Director{
		Service:  c.Args[0],
		Query:    query,
		Value:    d.value,
		TTL:      d.ttl,
		Direct:   director.Program{Words: words, Stderr: c.stderr, Timeout: d.timeout}.Direct,
		Standing: func() error { return c.notify("READY=1") },
		Log:      c.Log,
	}
	return patiently(ctx, d.wait, func(ctx context.Context) error { return run.Run(ctx, registry) })
}
