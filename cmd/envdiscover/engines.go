package main

import (
	"context"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
)

func enginesCommand() command {
	return command{
		name:    "engines",
		summary: "show the URLs of registries, and what each engine promises",
		flags:   func() []urfave.Flag { return []urfave.Flag{jsonFlag()} },
		run:     printEngines,
	}
}

// engineAsJSON is what --json shows of an engine.
type engineAsJSON struct {
	Schemes []string           `json:"schemes"`
	Help    string             `json:"help"`
	Layouts []string           `json:"layouts"`
	Options []discovery.Option `json:"options"`
}

func printEngines(_ context.Context, c *call) error {
	if c.Bool("json") {
		return c.printJSON(allAsJSON())
	}
	var text strings.Builder
	for _, e := range engines.All {
		fmt.Fprintf(&text, "%s\n", strings.Join(schemes(e), ", "))
		for line := range strings.Lines(e.Help) {
			fmt.Fprintf(&text, "  %s", line)
		}
		fmt.Fprintf(&text, "\n  layouts: %s\n", strings.Join(e.Layouts, ", "))
		writeURLOptions(&text, e.Options)
		text.WriteByte('\n')
	}
	text.WriteString("every URL takes, as ?NAME=VALUE&…\n")
	writeURLOptions(&text, discovery.CommonOptions)
	_, err := c.stdout.Write([]byte(text.String()))
	return err
}

func writeURLOptions(text *strings.Builder, options []discovery.Option) {
	for _, o := range options {
		fmt.Fprintf(text, "  %-18s%s\n", o.Name, o.Help)
	}
}

func schemes(e discovery.Engine) []string {
	if e.Secure {
		return []string{e.Scheme + "://", e.Scheme + "s://"}
	}
	return []string{e.Scheme + "://"}
}

func allAsJSON() []engineAsJSON {
	var all []engineAsJSON
	for _, e := range engines.All {
		all = append(all, engineAsJSON{
			Schemes: schemes(e),
			Help:    e.Help,
			Layouts: e.Layouts,
			Options: append(append([]discovery.Option{}, e.Options...), discovery.CommonOptions...),
		})
	}
	return all
}
