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
	return c.patiently(ctx, func(ctx context.Context) error {
		return values.Put(ctx, c.Args().First(), value, c.Duration("ttl"))
	})
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
