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

// TestManual: the page in man/ is what the option table and the documents make.
func TestManual(t *testing.T) {
	passage := func(title, heading string) manual.Passage {
		return manual.Passage{Title: title, Document: "docs/envdiscoverd.md", Heading: heading}
	}
	pages, err := manual.Manual{
		Program: commandLine(),
		Summary: "the registry of one machine",
		Section: "8",
		Root:    root,
		Passages: map[string][]manual.Passage{"": {
			passage("HTTP", "By HTTP"),
			passage("ETCD", "By etcd's protocol"),
			passage("ACCESS", "Who gets in"),
			passage("CONTAINERS", "Containers that say what they serve"),
			passage("EXIT STATUS", "Exit codes"),
			{Title: "BACKUP", Document: "docs/operating.md", Heading: "Snapshot and restore"},
		}},
		See: []string{"envdiscover(1)", "envharness(1)"},
	}.Pages()
	require.NoError(t, err)
	golden.Compare(t, root+"/man", "*.8", pages)
}

// TestCompletions: the files in completions/ are what the option tables make.
func TestCompletions(t *testing.T) {
	files, err := completion.Files(commandLine())
	require.NoError(t, err)
	golden.Compare(t, root+"/completions", "envdiscoverd.*", files)
}
