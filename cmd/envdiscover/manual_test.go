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
	const document = "docs/envdiscover.md"
	passage := func(title, heading string) manual.Passage {
		return manual.Passage{Title: title, Document: document, Heading: heading}
	}
	exit := passage("EXIT STATUS", "Exit codes")
	passages := map[string][]manual.Passage{
		"": {
			passage("REGISTRY", "Which registry"),
			passage("SCRIPTS", "Scripts without a shell"),
			passage("ENVIRONMENT", "Variables"),
			exit,
			passage("EXAMPLES", "A service registers, another finds it"),
		},
		"register": {passage("NOTES", "Register"), exit},
		"watch":    {passage("NOTES", "Follow"), exit},
		"get":      {passage("NOTES", "Follow"), exit},
		"url":      {passage("NOTES", "Follow"), exit},
		"direct":   {passage("NOTES", "Directors"), exit},
	}
	line := newProgram().commandLine()
	for _, c := range line.Commands {
		if _, has := passages[c.Name]; !has {
			passages[c.Name] = []manual.Passage{exit}
		}
	}
	pages, err := manual.Manual{
		Program:  line,
		Summary:  "read and write values, register services and find them",
		Section:  "1",
		Root:     root,
		Passages: passages,
		See:      []string{"envdiscoverd(8)", "envharness(1)"},
	}.Pages()
	require.NoError(t, err)
	golden.Compare(t, root+"/man", "envdiscover*.1", pages)
}

// TestCompletions: the files in completions/ are what the option tables make.
func TestCompletions(t *testing.T) {
	files, err := completion.Files(newProgram().commandLine())
	require.NoError(t, err)
	golden.Compare(t, root+"/completions", "envdiscover.*", files)
}
