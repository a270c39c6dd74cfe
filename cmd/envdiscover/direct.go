package main

import (
	"context"
	"os/exec"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/exporters/director"
)

// directTimeout is how long one run of the director's PROGRAM may take.
const directTimeout = 30 * time.Second

func directCommand() command {
	return command{
		name:      "direct",
		arguments: "SERVICE --value NAME -- PROGRAM [ARG...]",
		least:     1,
		most:      -1,
		summary:   "make a value of each snapshot by PROGRAM, one in the cluster",
		flags: func() []urfave.Flag {
			return append([]urfave.Flag{
				&urfave.StringFlag{Name: "value", Usage: "`NAME` of the value that PROGRAM prints"},
				bounded("ttl", "another takes over `D` after a death", discovery.DefaultTTL),
				bounded("timeout", "`D` for one run of PROGRAM; 0 is none", directTimeout),
			}, append(queryFlags(), allFlag(), waitFlag())...)
		},
		run: direct,
	}
}

func direct(ctx context.Context, c *call) error {
	words := c.Args().Slice()[1:]
	switch {
	case c.String("value") == "":
		return c.misuse("--value NAME is missing")
	case len(words) == 0:
		return c.misuse("PROGRAM is missing")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return err
	}
	ctx, registry, end, err := c.openHeld(ctx)
	if err != nil {
		return err
	}
	defer end()
	d := director.Director{
		Service:  c.Args().First(),
		Query:    c.query(),
		Value:    c.String("value"),
		TTL:      c.Duration("ttl"),
		Direct:   director.Program{Words: words, Stderr: c.stderr, Timeout: c.Duration("timeout")}.Direct,
		Standing: func() error { return c.notify("READY=1") },
		Log:      c.log,
	}
	return c.patiently(ctx, func(ctx context.Context) error { return d.Run(ctx, registry) })
}
