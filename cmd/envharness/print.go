package main

import (
	"bytes"
	"io"
	"os"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// printCommand is envharness print: resolve everything, print it, start nothing.
func printCommand(signals *harness.Signals) subcommand {
	return subcommand{
		usage:   "envharness print [OPTION...] [NAME...]",
		summary: "resolve and print",
		about:   "Shows what differs from the inherited environment. It resolves everything, as a start would, and neither runs /export nor starts anything.",
		options: []topic{directories, entries, running, failures, values, timelines, reporting},
		flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Category: string(printing), Usage: "`FORMAT`: sh, dotenv, json, nul, docker, or table for people", Value: string(harness.FormatSh)},
			&urfave.StringFlag{Name: "output", Category: string(printing), Usage: "`FILE`: write to FILE, mode 0600, all or nothing"},
			&urfave.BoolFlag{Name: "all", Category: string(printing), Usage: "print what is inherited, too"},
			&urfave.BoolFlag{Name: "mask", Category: string(printing), Usage: "hide the values"},
		},
		run: func(c *urfave.Context, options harness.Options) error {
			word := string(harness.FormatSh)
			cli.Read(c, "format", &word)
			format, err := harness.ParseFormat(word)
			if err != nil {
				return usageError(c, "%v", err)
			}
			resolution, err := harness.New(options, signals).Resolve()
			if err != nil {
				return err
			}
			variables := resolution.Changed
			if c.Bool("all") || c.NArg() > 0 {
				variables = resolution.All
			}
			if c.NArg() > 0 {
				if variables, err = only(variables, c.Args().Slice()); err != nil {
					return err
				}
			}
			return output(c.String("output"), func(w io.Writer) error {
				return harness.WriteVariables(w, format, variables, c.Bool("mask"))
			})
		},
	}
}

const printing topic = "print"

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
		return &harness.Error{Subject: file, Problem: "cannot be written (--output): " + text.Reason(err), Next: "name a file in a directory that this user may write to", Err: err}
	}
	return nil
}
