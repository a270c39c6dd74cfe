package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/tabwriter"

	"github.com/envharness/envharness/internal/cli"
)

// printJSON writes v: indented for a person, in one line for a program.
func (c *call) printJSON(v any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetEscapeHTML(false)
	if c.terminal {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(v)
}

// printNames writes one name a line, or a JSON array.
func (c *call) printNames(names []string, asJSON bool) error {
	if asJSON {
		if names == nil {
			names = []string{}
		}
		return c.printJSON(names)
	}
	var lines bytes.Buffer
	for _, name := range names {
		lines.WriteString(cli.OneLine(name) + "\n")
	}
	_, err := c.stdout.Write(lines.Bytes())
	return err
}

// printTable writes rows, the first of which is the heading: in columns for a person; for a program without the
// heading and with tabs between.
func (c *call) printTable(rows [][]string) error {
	if !c.terminal {
		rows = rows[1:]
	}
	var lines bytes.Buffer
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = cli.OneLine(cell); c.terminal && cell == "" {
				row[i] = "-"
			}
		}
		lines.WriteString(strings.Join(row, "\t") + "\n")
	}
	if !c.terminal {
		_, err := c.stdout.Write(lines.Bytes())
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if _, err := w.Write(lines.Bytes()); err != nil {
		return err
	}
	return w.Flush()
}
