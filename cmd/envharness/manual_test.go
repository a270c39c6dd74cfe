package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli/completion"
	"github.com/envharness/envharness/internal/cli/manual"
	"github.com/envharness/envharness/internal/golden"
)

// root is that of the tree.
const root = "../.."

// TestManual: the pages in man/ are what the option tables and the documents make.
func TestManual(t *testing.T) {
	line := commandLine(nil)
	reference, initial := "docs/envharness.md", "docs/init.md"
	pages, err := manual.Manual{
		Program: line,
		Summary: "container entrypoint that turns a directory into environment variables",
		Section: "1",
		Root:    root,
		Passages: map[string][]manual.Passage{
			"": {
				{Title: "ORDER", Document: reference, Heading: "What happens, in order"},
				{Title: "SIGNALS", Document: reference, Heading: "Signals"},
				{Title: "WHAT COMMAND GETS", Document: reference, Heading: "What COMMAND gets"},
				{Title: "AS PID 1", Document: initial, Heading: "As PID 1"},
				{Title: "HELD EXECUTABLES", Document: initial, Heading: "Held executables"},
				{Title: "WHEN VALUES CHANGE", Document: initial, Heading: "When values change"},
				{Title: "STOP", Document: initial, Heading: "Zero-downtime stop"},
				{Title: "EXIT STATUS", Document: "README.md", Heading: "Exit codes"},
				{Title: "FAILURES", Document: reference, Heading: "When something fails"},
			},
			"print":  {{Title: "FORMATS, CHECK, DIFF", Document: reference, Heading: "print, check, diff"}},
			"status": {{Title: "EXIT STATUS", Document: initial, Heading: "Readiness in Kubernetes"}},
			"ready":  {{Title: "EXIT STATUS", Document: initial, Heading: "Readiness in Kubernetes"}},
		},
		See: []string{"envharness-entries(7)", "envdiscover(1)", "envdiscoverd(8)"},
	}.Pages()
	require.NoError(t, err)
	golden.Compare(t, root+"/man", "envharness*.1", pages)

	entries, err := manual.Document(root, "envharness-entries", "7", "what envharness makes of the files of a directory",
		"docs/entries.md", []string{"envharness(1)", "envharness-check(1)"})
	require.NoError(t, err)
	golden.Compare(t, root+"/man", "*.7", map[string]string{"envharness-entries.7": entries})
}

// TestCompletions: the files in completions/ are what the option tables make.
func TestCompletions(t *testing.T) {
	line := commandLine(nil)
	files, err := completion.Files(line)
	require.NoError(t, err)
	golden.Compare(t, root+"/completions", "envharness.*", files)
}
