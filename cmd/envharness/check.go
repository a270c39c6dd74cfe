package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
)

// checkCommand is envharness check: find what would go wrong, run nothing.
func checkCommand() subcommand {
	return subcommand{
		usage:   "envharness check [OPTION...] [DIR...]",
		summary: "find mistakes, run nothing",
		about:   "Tells all that is wrong with the entries of /environment and /export, or of each DIR, and exits 1 when there is something. A DIR that is called export is held to the rules of /export.",
		options: []topic{directories, reporting},
		flags:   []urfave.Flag{jsonFlag},
		run: func(c *urfave.Context, options harness.Options) error {
			findings := findAll(c.Args().Slice(), options)
			if err := showFindings(findings, c.Bool("json")); err != nil {
				return err
			}
			if len(findings) > 0 {
				return &harness.ExitError{Code: 1}
			}
			return nil
		},
	}
}

var jsonFlag = &urfave.BoolFlag{Name: "json", Category: string(reporting), Usage: "print JSON"}

// findAll checks the directories named, or those that the options name. Of the named ones, one that is an
// export directory of the options or is called export is held to the rules of /export.
func findAll(dirs []string, options harness.Options) []harness.Finding {
	findings := []harness.Finding{}
	if len(dirs) == 0 {
		for _, dir := range options.Environment {
			findings = append(findings, harness.Check(dir, false)...)
		}
		for _, dir := range options.Export {
			findings = append(findings, harness.Check(dir, true)...)
		}
		return findings
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			findings = append(findings, harness.Finding{Path: dir, Problem: "there is no such directory", Hint: "name a directory of executables and files"})
			continue
		}
		findings = append(findings, harness.Check(dir, isExport(dir, options))...)
	}
	return findings
}

func isExport(dir string, options harness.Options) bool {
	return filepath.Base(filepath.Clean(dir)) == "export" || slices.Contains(options.Export, dir)
}

func showFindings(findings []harness.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(findings)
	}
	for _, f := range findings {
		fmt.Printf("%s: %s\n", printable(f.Path), printable(f.Problem))
		if f.Hint != "" {
			fmt.Printf("    hint: %s\n", printable(f.Hint))
		}
	}
	return nil
}
