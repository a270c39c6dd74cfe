package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// diffCommand is envharness diff: the names that one environment has and the other lacks.
func diffCommand(s *settings) cli.Command {
	asJSON := false
	return cli.Command{
		Name:      "diff",
		Arguments: "DIR DIR",
		Least:     2,
		Most:      2,
		Listed:    "-",
		About:     "Tells which names only one DIR has, and exits 1 when there are some. Values are not compared: they are meant to differ.",
		Example:   "envharness diff development production",
		Notes:     variables,
		Options:   append([]cli.Option{jsonOption(&asJSON)}, s.options(entries)...),
		Run: func(c *cli.Call) error {
			options, err := s.begin(c)
			if err != nil {
				return err
			}
			differences, err := harness.Diff(options, c.Args[0], c.Args[1])
			if err != nil {
				return err
			}
			if err := showDifferences(differences, asJSON); err != nil {
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
