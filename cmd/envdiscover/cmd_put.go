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
	var only condition
	return cli.Command{
		Name:      "put",
		Arguments: "NAME [VALUE]",
		Least:     1,
		Most:      2,
		Summary:   "write a value; without VALUE it is what stdin has, to the byte",
		Example:   "envdiscover put DATABASE_URL <url.txt",
		Options: []cli.Option{
			{Name: "ttl", Argument: "D", Usage: "let it last for D; without, for ever", Target: &ttl},
			{Name: "if-absent", Usage: "write only if there is no such value, else exit 1", Target: &only.absent},
			{Name: "if-unchanged", Argument: "FILE", Usage: "write only if it still is what FILE has, to the byte, else exit 1", Target: &only.unchanged},
			waitOption(&wait),
		},
		Run: p.runs(func(ctx context.Context, c *call) error { return c.put(ctx, ttl, wait, only) }),
	}
}

func (c *call) put(ctx context.Context, ttl, wait time.Duration, only condition) error {
	value, err := c.valueToPut()
	if err != nil {
		return err
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	if only != (condition{}) {
		if ttl != 0 || wait != 0 {
			return c.Misuse("--ttl and --wait do not go with --if-absent and --if-unchanged")
		}
		return c.swap(ctx, values, value, only)
	}
	return patiently(ctx, wait, func(ctx context.Context) error {
		return values.Put(ctx, c.Args[0], value, ttl)
	})
}

// condition is what a value is written only on.
type condition struct {
	absent    bool
	unchanged string // the file that has the value as it was read
}

// swap writes a value if what is there is as it is expected. It is tried once: an attempt of which nobody knows
// whether it succeeded would be in the way of the next.
func (c *call) swap(ctx context.Context, values discovery.Values, value []byte, only condition) error {
	var old []byte
	if only.unchanged != "" {
		if only.absent {
			return c.Misuse("--if-absent and --if-unchanged exclude each other")
		}
		read, err := os.ReadFile(only.unchanged)
		if err != nil {
			return err
		}
		old = append([]byte{}, read...) // of an empty file, too
	}
	name := c.Args[0]
	swapper, ok := values.(discovery.Swapper)
	if !ok {
		return &discovery.Error{Op: "write value", Name: name, Err: discovery.ErrUnsupported}
	}
	return swapper.SwapValue(ctx, name, old, value)
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
