package harness_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPackageCommentNamesWhatIsThere keeps "Where things are" true when files move.
func TestPackageCommentNamesWhatIsThere(t *testing.T) {
	source, err := os.ReadFile("harness.go")
	require.NoError(t, err)
	comment, _, found := strings.Cut(string(source), "\npackage harness\n")
	require.True(t, found)
	_, places, found := strings.Cut(comment, "# Where things are")
	require.True(t, found)

	files := regexp.MustCompile(`[\w*]+\.go`).FindAllString(places, -1)
	require.Greater(t, len(files), 10)
	for _, file := range files {
		there, err := filepath.Glob(file)
		require.NoError(t, err)
		require.NotEmpty(t, there, file)
	}
	packages := regexp.MustCompile(`internal/\w+`).FindAllString(places, -1)
	require.Greater(t, len(packages), 5)
	for _, dir := range packages {
		require.DirExists(t, dir)
	}
}
