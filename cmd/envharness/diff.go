package main

import (
	"encoding/json"
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// diffCommand is envharness diff: the names that one environment has and the other lacks.
func diffCommand() subcommand {
	return subcommand{
		usage:   "envharness diff [OPTION...] DIR DIR",
		summary: "names that only one has",
		about:   "Tells which names only one DIR has, and exits 1 when there are some. Values are not compared: they are meant to differ.",
		options: []topic{entries, reporting},
		flags:   []urfave.Flag{jsonFlag},
		run: func(c *urfave.Context, options harness.Options) error {
			if c.NArg() != 2 {
				return usageError(c, "two directories are compared, not %d", c.NArg())
			}
			differences, err := harness.Diff(options, c.Args().Get(0), c.Args().Get(1))
			if err != nil {
				return err
			}
			if err := showDifferences(differences, c.Bool("json")); err != nil {
				return err
			}
			if len(differences) > 0 {
				return &harness.ExitError{Code: 1}
			}
			return nil
		},
	}
}

func showDifferences(differences []harness.Difference, asJSON bool) error {
	if asJSON {
		if differences == nil {
			differences = []harness.Difference{}
		}
		return json.NewEncoder(os.Stdout).Encode(differences)
	}
	for _, d := range differences {
		fmt.Printf("%s: in %s, not in %s\n", printable(d.Name), printable(d.In), printable(d.Lacking))
	}
	return nil
}

// printable is a name that may hold any byte, in one line.
func printable(name string) string { return cli.OneLine(name) }
