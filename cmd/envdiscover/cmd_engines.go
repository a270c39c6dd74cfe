package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) enginesCommand() cli.Command {
	asJSON := false
	return cli.Command{
		Name:    "engines",
		Summary: "show the URLs of registries, and what each engine promises",
		Example: "envdiscover engines",
		Options: []cli.Option{jsonOption(&asJSON)},
		Alone:   true,
		Run:     p.runs(func(_ context.Context, c *call) error { return c.printEngines(asJSON) }),
	}
}

// engineAsJSON is what --json shows of an engine.
type engineAsJSON struct {
	Schemes  []string           `json:"schemes"`
	Help     string             `json:"help"`
	Promises discovery.Promises `json:"promises"`
	Layouts  []string           `json:"layouts"`
	Options  []discovery.Option `json:"options"`
}

func (c *call) printEngines(asJSON bool) error {
	if asJSON {
		return c.printJSON(allAsJSON())
	}
	var text strings.Builder
	for _, e := range engines.All {
		writeEngine(&text, e)
	}
	text.WriteString("every URL takes, as ?NAME=VALUE&…\n")
	writeURLOptions(&text, discovery.CommonOptions)
	_, err := c.stdout.Write([]byte(text.String()))
	return err
}

func writeEngine(text *strings.Builder, e discovery.Engine) {
	fmt.Fprintf(text, "%s\n", strings.Join(schemes(e), ", "))
	for line := range strings.Lines(e.Help) {
		writeWrapped(text, "  ", line)
	}
	writeFact(text, "death", e.Promises.Death)
	writeFact(text, "partition", e.Promises.Partition)
	writeFact(text, "director", e.Promises.Director)
	writeFact(text, "limits", e.Promises.Limits)
	writeFact(text, "layouts", strings.Join(e.Layouts, ", "))
	writeURLOptions(text, e.Options)
	text.WriteByte('\n')
}

// factWidth is that of the column that names what an engine promises, or an option.
const factWidth = 23

func writeFact(text *strings.Builder, name, fact string) {
	if fact != "" {
		writeWrapped(text, fmt.Sprintf("%-*s", factWidth, "  "+name), fact)
	}
}

func writeURLOptions(text *strings.Builder, options []discovery.Option) {
	for _, o := range options {
		writeFact(text, "?"+o.Name, o.Help)
	}
}

// writeWrapped writes a text in lines of a screen, the first behind head and the others below.
func writeWrapped(text *strings.Builder, head, words string) {
	const width = 80
	line := head
	empty := true
	for word := range strings.FieldsSeq(words) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(text, line)
			line, empty = strings.Repeat(" ", utf8.RuneCountInString(head)), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintln(text, line)
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
			Schemes:  schemes(e),
			Help:     e.Help,
			Promises: e.Promises,
			Layouts:  e.Layouts,
			Options:  append(append([]discovery.Option{}, e.Options...), discovery.CommonOptions...),
		})
	}
	return all
}
