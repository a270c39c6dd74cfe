package main

import (
	"context"
	"errors"
	"slices"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) urlCommand() cli.Command {
	a, s, f := &addresser{scheme: "http"}, &selection{}, &finder{}
	own := []cli.Option{
		{Name: "scheme", Argument: "SCHEME", Usage: "make it a URL of SCHEME, with the port of that name", Target: &a.scheme},
		{Name: "path", Argument: "PATH", Usage: "append PATH, with a query if you like", Target: &a.path},
		{Name: "private", Usage: "use the private host and port", Target: &a.private},
	}
	return cli.Command{
		Name:      "url",
		Arguments: "SERVICE",
		Least:     1,
		Most:      1,
		Summary:   "print the address of one instance that passes",
		Example:   "envdiscover url db --scheme postgresql --path /app",
		Options:   slices.Concat(own, s.options(), f.options()),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.printURL(ctx, a, s.query(), f) }),
	}
}

func (c *call) printURL(ctx context.Context, a *addresser, query discovery.Query, f *finder) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	service := c.Args[0]
	return c.find(ctx, f, question{
		about: service,
		once: func(ctx context.Context) ([]byte, error) {
			snapshot, err := registry.Instances(ctx, service, query)
			if err != nil {
				return nil, err
			}
			found := a.find(snapshot)
			return found.text, found.err
		},
		watch: func(ctx context.Context) <-chan finding {
			watch := func(ctx context.Context) (<-chan discovery.Snapshot, error) {
				return registry.Watch(ctx, service, query)
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
		err = failed(err, exitFailure, "")
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
