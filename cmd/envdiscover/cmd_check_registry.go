package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/discovery/layout"
)

// checkReads is how often the registry is asked to learn how far away it is: the first one connects.
const checkReads = 4

// standing is how a registry stands to this process.
type standing struct {
	Registry  string        `json:"registry"` // its URL without passwords
	Reached   bool          `json:"reached"`
	Read      bool          `json:"read"`
	Write     bool          `json:"write"`
	ReadOnly  bool          `json:"read_only,omitempty"` // the engine writes nothing at all
	RoundTrip time.Duration `json:"-"`
	Millis    float64       `json:"round_trip_ms,omitempty"`
	Error     string        `json:"error,omitempty"`
}

// checkRegistry tells whether the registry can be reached, read and written, and how far away it is. It writes
// nothing.
func (c *call) checkRegistry(ctx context.Context, k *checking) error {
	if len(c.Args) > 1 {
		if c.Said("url") {
			return c.Misuse("TARGET and --url both name the registry: leave one of them out")
		}
		c.url = c.Args[1]
	}
	url, err := c.registryURL(ctx)
	if err != nil {
		return err
	}
	settings := []discovery.Setting{discovery.WithLog(layout.Quiet(c.Log)), discovery.WithGetenv(c.getenv)}
	registry, err := engines.Open(ctx, url, settings...)
	if err != nil {
		return err
	}
	defer registry.Close()
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	s := standing{Registry: discovery.Redact(url)}
	err = s.ask(ctx, registry, func(ctx context.Context) error { return engines.All.Check(ctx, url, settings...) })
	if err != nil {
		s.Error = err.Error()
	}
	s.Millis = float64(s.RoundTrip.Microseconds()) / 1000
	if printed := c.printStanding(s, k.json); printed != nil {
		return printed
	}
	return err
}

// ask finds out, one thing after the other. The error is why the next one is not known. Where no names of values can
// be read, ping is what asks for anything at all.
func (s *standing) ask(ctx context.Context, registry discovery.Registry, ping func(context.Context) error) error {
	read := ping
	if values, keeps := registry.(discovery.Values); keeps {
		read = func(ctx context.Context) error {
			_, err := values.List(ctx)
			if errors.Is(err, discovery.ErrUnsupported) {
				return ping(ctx)
			}
			return err
		}
	}
	for range checkReads {
		begun := time.Now()
		if err := read(ctx); err != nil {
			s.Reached = errors.Is(err, discovery.ErrDenied)
			return err
		}
		took := time.Since(begun)
		if !s.Reached || took < s.RoundTrip {
			s.RoundTrip = took
		}
		s.Reached, s.Read = true, true
	}
	err := error(discovery.ErrUnsupported)
	if checker, can := registry.(discovery.AccessChecker); can {
		err = checker.MayWrite(ctx)
	}
	s.Write, s.ReadOnly = err == nil, errors.Is(err, discovery.ErrUnsupported)
	if s.ReadOnly {
		return nil
	}
	return err
}

func (c *call) printStanding(s standing, asJSON bool) error {
	if asJSON {
		return c.printJSON(s)
	}
	write := yesNo(s.Write)
	if s.ReadOnly {
		write = "never: this engine only reads"
	}
	_, err := fmt.Fprintf(c.stdout, "registry    %s\nreached     %s\nread        %s\nwrite       %s\n",
		s.Registry, yesNo(s.Reached), yesNo(s.Read), write)
	if err == nil && s.Read {
		_, err = fmt.Fprintf(c.stdout, "round trip  %.1f ms\n", s.Millis)
	}
	return err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
