package main

import (
	"context"
	"errors"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

func urlCommand() command {
	return command{
		name:      "url",
		arguments: "SERVICE",
		least:     1,
		most:      1,
		summary:   "print the address of one instance that passes",
		flags: func() []urfave.Flag {
			return append(append([]urfave.Flag{
				&urfave.StringFlag{Name: "scheme", Usage: "`SCHEME` of the URL, and name of the port", Value: "http"},
				&urfave.StringFlag{Name: "path", Usage: "`PATH` of the URL, with a query if you like"},
				&urfave.BoolFlag{Name: "private", Usage: "by its private host and ports"},
			}, queryFlags()...), findFlags()...)
		},
		run: printURL,
	}
}

func printURL(ctx context.Context, c *call) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	service := c.Args().First()
	a := &addresser{scheme: c.String("scheme"), path: c.String("path"), private: c.Bool("private")}
	return c.find(ctx, question{
		about: service,
		once: func(ctx context.Context) ([]byte, error) {
			snapshot, err := registry.Instances(ctx, service, c.query())
			if err != nil {
				return nil, err
			}
			f := a.find(snapshot)
			return f.text, f.err
		},
		watch: func(ctx context.Context) <-chan finding {
			watch := func(ctx context.Context) (<-chan discovery.Snapshot, error) {
				return registry.Watch(ctx, service, c.query())
			}
			return findings(ctx, watch, a.find)
		},
	})
}

// addresser makes the URL of one instance, the same one for as long as it is there: what follows an address
// is not to move with every snapshot.
type addresser struct {
	scheme, path string
	private      bool

	chosen string // its ID
}

func (a *addresser) find(s discovery.Snapshot) finding {
	url, err := a.url(s)
	if errors.Is(err, discovery.ErrInvalid) { // what an instance says of itself is no misuse
		err = &failure{err: err, code: exitFailure}
	}
	return finding{text: []byte(url), err: err, stale: s.Stale}
}

func (a *addresser) url(s discovery.Snapshot) (string, error) {
	if s.Public != nil && s.Query.Shard == "" && !a.private {
		return s.URL(a.scheme, a.path)
	}
	in, err := a.choose(s)
	if err != nil {
		return "", err
	}
	if a.private {
		return in.PrivateURL(a.scheme, a.path)
	}
	return in.URL(a.scheme, a.path)
}

func (a *addresser) choose(s discovery.Snapshot) (discovery.Instance, error) {
	s = s.Addressable(a.scheme, a.private)
	if i := slices.IndexFunc(s.Instances, func(in discovery.Instance) bool { return in.ID == a.chosen }); i >= 0 {
		return s.Instances[i], nil
	}
	in, err := s.One()
	a.chosen = in.ID
	return in, err
}
