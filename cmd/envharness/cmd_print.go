package main

import (
	"bytes"
	"io"
	"os"
	"slices"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// printing is the options of print.
type printing struct {
	format, output string
	all, mask      bool
}

// printCommand is envharness print: resolve everything, print it, start nothing.
func printCommand(s *settings, signals *harness.Signals) cli.Command {
	p := &printing{format: string(harness.FormatSh)}
	own := []cli.Option{
		{Name: "format", Argument: "FORMAT", Usage: "print as sh, dotenv, json, nul or docker, or as a table for people", Target: &p.format},
		{Name: "output", Argument: "FILE", Usage: "write to FILE, mode 0600, all or nothing", Target: &p.output},
		{Name: "all", Usage: "print what is inherited, too", Target: &p.all},
		{Name: "mask", Usage: "hide the values", Target: &p.mask},
	}
	return cli.Command{
		Name:      "print",
		Arguments: "[NAME...]",
		Most:      -1,
		Summary:   "resolve and print",
		About:     "Shows what differs from the inherited environment. It resolves everything, as a start would, and neither runs /export nor starts anything.",
		Example:   "envharness print --format table --mask",
		Notes:     variables,
		Options:   append(own, s.options(directories, entries, running, failures, values, timelines)...),
		Run: func(c *cli.Call) error {
			options, err := s.begin(c)
			if err != nil {
				return err
			}
			return p.print(c, harness.New(options, signals))
		},
	}
}

func (p *printing) print(c *cli.Call, run *harness.Harness) error {
	if p.format == formatPrometheus && !c.Said("format") {
		p.format = string(harness.FormatSh) // the variable is that of status too, and meant for that
	}
	if p.output == "" && c.Said("output") {
		return c.Misuse(emptyWord, "output")
	}
	format, err := harness.ParseFormat(p.format)
	if err != nil {
		return c.Misuse("%v", err)
	}
	resolution, err := run.Resolve()
	if err != nil {
		return err
	}
	variables := resolution.Changed
	if p.all || len(c.Args) > 0 {
		variables = resolution.All
	}
	if len(c.Args) > 0 {
		if variables, err = only(variables, c.Args); err != nil {
			return err
		}
	}
	return output(p.output, func(w io.Writer) error {
		return harness.WriteVariables(w, format, variables, p.mask)
	})
}

// only picks names, in the order of variables.
func only(variables []harness.Variable, names []string) ([]harness.Variable, error) {
	for _, name := range names {
		if !slices.ContainsFunc(variables, func(v harness.Variable) bool { return v.Name == name }) {
			return nil, &harness.Error{Subject: name, Problem: "is not set", Next: "print all names with: envharness print --all --format table", Code: 1}
		}
	}
	return slices.DeleteFunc(variables, func(v harness.Variable) bool { return !slices.Contains(names, v.Name) }), nil
}

// output writes to a file as a whole, or to stdout without one.
func output(file string, write func(io.Writer) error) error {
	if file == "" {
		return write(os.Stdout)
	}
	var content bytes.Buffer
	if err := write(&content); err != nil {
		return err
	}
	if err := securefile.Write(file, content.Bytes(), 0o600, nil); err != nil {
		return &harness.Error{Subject: file, Problem: "cannot be written (--output): " + text.Reason(err), Next: securefile.Hint(err, "name a file in a directory that this user may write to"), Err: err}
	}
	return nil
}
