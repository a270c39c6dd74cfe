package main

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) putCommand() cli.Command {
	var ttl, wait time.Duration
	return cli.Command{
		Name:      "put",
		Arguments: "NAME [VALUE]",
		Least:     1,
		Most:      2,
		Summary:   "write a value; without VALUE it is what stdin has, to the byte",
		Example:   "envdiscover put DATABASE_URL <url.txt",
		Options: []cli.Option{
			{Name: "ttl", Argument: "D", Usage: "it lasts for D; without, for ever", Target: &ttl},
			waitOption(&wait),
		},
		Run: p.runs(func(ctx context.Context, c *call) error { return c.put(ctx, ttl, wait) }),
	}
}

func (c *call) put(ctx context.Context, ttl, wait time.Duration) error {
	value, err := c.valueToPut()
	if err != nil {
		return err
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	return patiently(ctx, wait, func(ctx context.Context) error {
		return values.Put(ctx, c.Args[0], value, ttl)
	})
}

// valueToPut is the second argument, or stdin: a secret on a command line is seen by everybody on the machine.
func (c *call) valueToPut() ([]byte, error) {
	if len(c.Args) == 2 {
		return []byte(c.Args[1]), nil
	}
	if file, ok := c.stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return nil, c.Misuse("no VALUE, and stdin is a terminal")
	}
	return io.ReadAll(io.LimitReader(c.stdin, discovery.MaxValue+1))
}
