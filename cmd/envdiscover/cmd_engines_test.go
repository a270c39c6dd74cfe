package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery/engines"
)

// TestDocsTellWhatEnginesPromise compares docs/engines.md with what envdiscover engines prints.
func TestDocsTellWhatEnginesPromise(t *testing.T) {
	text, err := os.ReadFile("../../docs/engines.md")
	require.NoError(t, err)
	for _, e := range engines.All {
		rows := [][2]string{
			{"death", e.Promises.Death},
			{"partition", e.Promises.Partition},
			{"director", e.Promises.Director},
			{"limits", e.Promises.Limits},
		}
		if len(e.Layouts) > 0 { // what keeps no keys has none
			rows = append(rows, [2]string{"layouts", strings.Join(e.Layouts, ", ")})
		}
		for _, o := range e.Options {
			rows = append(rows, [2]string{"`?" + o.Name + "`", o.Help})
		}
		table := "## `" + strings.Join(schemes(e), "`, `") + "`\n\n| | |\n|---|---|\n"
		for _, row := range rows {
			require.NotEmpty(t, row[1], "%s:// says nothing of %s", e.Scheme, row[0])
			table += "| " + row[0] + " | " + row[1] + " |\n"
		}
		require.Contains(t, string(text), table+"\n")
	}
}

// TestEnginesFitAScreensWidth, the lines of what it prints.
func TestEnginesFitAScreensWidth(t *testing.T) {
	var text strings.Builder
	for _, e := range engines.All {
		writeEngine(&text, e)
	}
	require.NotEmpty(t, text.String())
	for line := range strings.Lines(text.String()) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, line)
	}
}
