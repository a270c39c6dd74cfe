package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/envfmt"
	"github.com/envharness/envharness/internal/varname"
)

// gatherTime is how long more changes are waited for behind one, so that what is written together is read together.
const gatherTime = 100 * time.Millisecond

// environment is the options of env.
type environment struct {
	*finder
	format, names string
}

func (p *program) envCommand() cli.Command {
	e := &environment{finder: &finder{}, format: string(envfmt.Dotenv), names: string(varname.Strict)}
	own := []cli.Option{
		{Name: "format", Argument: "FORMAT", Usage: "print as dotenv, json or sh", Target: &e.format, Words: []string{string(envfmt.Dotenv), string(envfmt.JSON), string(envfmt.Sh)}},
		{Name: "names", Argument: "POLICY", Usage: "treat names that are no variables so: strict, skip or upper", Target: &e.names, Words: []string{string(varname.Strict), string(varname.Skip), string(varname.Upper)}},
	}
	return cli.Command{
		Name:      "env",
		Arguments: "[GLOB...]",
		Most:      -1,
		Summary:   "print all values (that match a GLOB, as DB_*), in one read",
		Example:   "envdiscover env 'DB_*' --format json",
		Options:   append(own, e.options()...),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.env(ctx, e) }),
	}
}

func (c *call) env(ctx context.Context, e *environment) error {
	if err := c.checkGlobs(); err != nil {
		return err
	}
	registry, values, err := c.openValues(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	all, ok := values.(discovery.AllValues)
	if !ok {
		return &discovery.Error{Op: "read all values", Err: discovery.ErrUnsupported}
	}
	return c.find(ctx, e.finder, question{
		about: "the values",
		once: func(ctx context.Context) ([]byte, error) {
			values, err := all.GetAll(ctx)
			if err != nil {
				return nil, err
			}
			return c.render(e, values)
		},
		watch: func(ctx context.Context) <-chan finding {
			watch := func(ctx context.Context) (<-chan discovery.ValueSet, error) {
				sets, err := all.WatchAll(ctx)
				if err != nil {
					return nil, err
				}
				return gathered(sets), nil
			}
			return findings(ctx, watch, func(s discovery.ValueSet) finding {
				text, err := c.render(e, s.Values)
				return finding{text: text, err: err, stale: s.Stale}
			})
		},
	})
}

func (c *call) checkGlobs() error {
	for _, glob := range c.Args {
		if _, err := path.Match(glob, ""); err != nil {
			return c.Misuse("%q is no glob", glob)
		}
	}
	return nil
}

// gathered gives the newest of what comes within gatherTime; the first and the last at once.
func gathered(in <-chan discovery.ValueSet) <-chan discovery.ValueSet {
	out := make(chan discovery.ValueSet)
	go func() {
		defer close(out)
		first := true
		for set := range in {
			if !first {
				set = newest(set, in)
			}
			first = false
			out <- set
		}
	}()
	return out
}

func newest(set discovery.ValueSet, in <-chan discovery.ValueSet) discovery.ValueSet {
	over := time.After(gatherTime)
	for {
		select {
		case next, ok := <-in:
			if !ok {
				return set
			}
			set = next
		case <-over:
			return set
		}
	}
}

// unfit is why values cannot be printed as they are: the registry is well, its content is not.
type unfit struct{ error }

func (u unfit) Unwrap() error { return u.error }

// render writes the values that are asked for, all or none.
func (c *call) render(e *environment, values map[string][]byte) ([]byte, error) {
	variables, err := c.variables(e, values)
	if err != nil {
		return nil, unfit{err}
	}
	if len(variables) == 0 {
		return nil, fmt.Errorf("read values: %w: none that matches", discovery.ErrNotFound)
	}
	var text bytes.Buffer
	if err := envfmt.Write(&text, envfmt.Format(e.format), variables, false); err != nil {
		return nil, unfit{failed(err, 0, "a GLOB leaves it out; dotenv and sh carry more than JSON, which is UTF-8 alone; none carries a NUL")}
	}
	return text.Bytes(), nil
}

// variables are the values that a GLOB names, by the names of their variables.
func (c *call) variables(e *environment, values map[string][]byte) ([]envfmt.Variable, error) {
	rule := varname.Policy(e.names)
	from := map[string]string{}
	var all []envfmt.Variable
	var odd []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !matchesAny(c.Args, name) {
			continue
		}
		variable, ok := rule.Of(name)
		switch other, twice := from[variable]; {
		case !ok && rule == varname.Skip:
			c.Log.Warn("skipped: no variable can have this name (--names skip)", "name", name)
			continue
		case !ok:
			odd = append(odd, fmt.Sprintf("%q", name))
			continue
		case twice:
			return nil, failed(fmt.Errorf("the values %q and %q both become %s", other, name, variable), 0, "rename one of the two, or leave it out by GLOBs")
		}
		from[variable] = name
		all = append(all, envfmt.Variable{Name: variable, Value: string(values[name])})
	}
	if len(odd) > 0 {
		return nil, failed(fmt.Errorf("no variable can be called %s: a name is a letter or _ and then letters, digits or _", shortList(odd)), 0,
			"--names upper makes variables of such names (max-conns becomes MAX_CONNS), --names skip leaves them out")
	}
	return all, nil
}

func matchesAny(globs []string, name string) bool {
	matches := func(glob string) bool {
		matched, _ := path.Match(glob, name)
		return matched
	}
	return len(globs) == 0 || slices.ContainsFunc(globs, matches)
}

// shortList names some of many.
func shortList(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func isUnfit(err error) bool { return errors.As(err, new(unfit)) }
