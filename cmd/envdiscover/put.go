package main

import (
	"context"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/envharness/envharness/discovery"
)

func putCommand() command {
	return command{
		name:      "put",
		arguments: "NAME [VALUE]",
		least:     1,
		most:      2,
		summary:   "write a value; without VALUE it is what stdin has, to the byte",
		flags: func() []urfave.Flag {
			return []urfave.Flag{
				&urfave.DurationFlag{Name: "ttl", Usage: "it lasts for `D`; without, for ever"},
				&urfave.BoolFlag{Name: "if-absent", Usage: "only if there is no such value, else exit 1"},
				&urfave.StringFlag{Name: "if-unchanged", Usage: "only if it still is what `FILE` has, to the byte, else exit 1"},
				waitFlag(),
			}
		},
		run: put,
	}
}

func put(ctx context.Context, c *call) error {
	value, err := c.valueToPut()
	if err != nil {
		return err
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	if c.Bool("if-absent") || c.IsSet("if-unchanged") {
		return c.swap(ctx, values, value)
	}
	return c.patiently(ctx, func(ctx context.Context) error {
		return values.Put(ctx, c.Args().First(), value, c.Duration("ttl"))
	})
}

// swap writes a value if what is there is as it is expected. It is tried once: an attempt of which nobody knows
// whether it succeeded would be in the way of the next.
func (c *call) swap(ctx context.Context, values discovery.Values, value []byte) error {
	switch {
	case c.Bool("if-absent") && c.IsSet("if-unchanged"):
		return c.misuse("--if-absent and --if-unchanged exclude each other")
	case c.IsSet("ttl") || c.IsSet("wait"):
		return c.misuse("--ttl and --wait do not go with --if-absent and --if-unchanged")
	}
	var old []byte
	if path := c.String("if-unchanged"); path != "" {
		var err error
		if old, err = os.ReadFile(path); err != nil {
			return err
		}
		old = append([]byte{}, old...) // of an empty file, too
	}
	name := c.Args().First()
	swapper, ok := values.(discovery.Swapper)
	if !ok {
		return &discovery.Error{Op: "write value", Name: name, Err: discovery.ErrUnsupported}
	}
	return swapper.SwapValue(ctx, name, old, value)
}

// valueToPut is the second argument, or stdin: a secret on a command line is seen by everybody on the machine.
func (c *call) valueToPut() ([]byte, error) {
	if c.NArg() == 2 {
		return []byte(c.Args().Get(1)), nil
	}
	if file, ok := c.stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return nil, c.misuse("no VALUE, and stdin is a terminal")
	}
	return io.ReadAll(io.LimitReader(c.stdin, discovery.MaxValue+1))
}
