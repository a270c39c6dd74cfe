package discovery_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLibraryPageShowsWhatRuns compares the Go passages of docs/library.md with the examples, which run.
func TestLibraryPageShowsWhatRuns(t *testing.T) {
	page, err := os.ReadFile("../docs/library.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	code := unindented(string(examples))
	passages := strings.Split(string(page), "```go\n")[1:]
	require.NotEmpty(t, passages)
	for _, passage := range passages {
		passage, _, closed := strings.Cut(passage, "```")
		require.True(t, closed)
		require.Contains(t, code, unindented(passage))
	}
}

// unindented takes the blanks off the front of each line.
func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimLeft(line, "\t "))
	}
	return strings.Join(lines, "")
}
