package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// checkCommand is envharness check: find what would go wrong, run nothing.
func checkCommand(s *settings) cli.Command {
	asJSON := false
	return cli.Command{
		Name:      "check",
		Arguments: "[DIR...]",
		Most:      -1,
		Listed:    "check, diff",
		Summary:   "find mistakes; names that only one of two DIRs has",
		About:     "Tells all that is wrong with the entries of /environment and /export, or of each DIR, and exits 1 when there is something. A DIR that is called export is held to the rules of /export.",
		Example:   "envharness check ./environment ./export",
		Notes:     variables,
		Options:   append([]cli.Option{jsonOption(&asJSON)}, s.options(directories, entries)...),
		Run: func(c *cli.Call) error {
			options, err := s.begin(c)
			if err != nil {
				return err
			}
			order, findings := findAll(c.Args, options)
			if err := show(order, findings, asJSON); err != nil {
				return err
			}
			if len(findings) > 0 {
				return &harness.ExitError{Code: 1}
			}
			return nil
		},
	}
}

func jsonOption(json *bool) cli.Option {
	return cli.Option{Name: "json", Usage: "print JSON", Target: json}
}

// findAll checks the directories named, or those that the options name, and gives the order of their executables. Of
// the named ones, one that is an export directory of the options or is called export is held to the rules of /export.
func findAll(dirs []string, options harness.Options) (order []string, findings []harness.Finding) {
	environment, export := options.Environment, options.Export
	findings = []harness.Finding{}
	if len(dirs) > 0 {
		environment, export = nil, nil
	} else {
		dirs = options.Secrets
	}
	for _, dir := range dirs {
		switch _, err := os.Stat(dir); {
		case err != nil:
			findings = append(findings, harness.Finding{Path: dir, Problem: "there is no such directory", Hint: "name a directory of executables and files"})
		case slices.Contains(options.Secrets, dir):
			findings = append(findings, harness.Check(options, dir, false)...)
		case isExport(dir, options):
			export = append(export, dir)
		default:
			environment = append(environment, dir)
		}
	}
	for _, dir := range environment {
		findings = append(findings, harness.Check(options, dir, false)...)
	}
	for _, dir := range export {
		findings = append(findings, harness.Check(options, dir, true)...)
	}
	order, cycles := harness.CheckOrder(options, environment)
	return order, append(findings, cycles...)
}

func isExport(dir string, options harness.Options) bool {
	return filepath.Base(filepath.Clean(dir)) == "export" || slices.Contains(options.Export, dir)
}

// show prints findings, and for people the order of executables where it is not the one of their names.
func show(order []string, findings []harness.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(findings)
	}
	for _, f := range findings {
		fmt.Printf("%s: %s\n", printable(f.Path), printable(f.Problem))
		if f.Hint != "" {
			fmt.Printf("    hint: %s\n", printable(f.Hint))
		}
	}
	if !slices.IsSorted(order) {
		for i, name := range order {
			order[i] = printable(name)
		}
		fmt.Printf("order: %s\n", strings.Join(order, ", "))
	}
	return nil
}
