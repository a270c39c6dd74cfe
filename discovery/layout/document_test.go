package layout_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeShowsTheLayouts: docs/layouts.md has every file of keys and values that the tests compare with, word
// for word, in a block that has the file's name beside its kind.
func TestReadmeShowsTheLayouts(t *testing.T) {
	page, err := os.ReadFile("../../docs/layouts.md")
	require.NoError(t, err)
	var shown []string
	for _, block := range regexp.MustCompile("(?s)```text (\\S+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		shown = append(shown, block[1])
		text, err := os.ReadFile(filepath.Join("testdata", block[1]+".txt"))
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(text)), strings.TrimSpace(block[2]), block[1])
	}
	var files []string
	for _, w := range written {
		files = append(files, w.golden)
	}
	slices.Sort(shown)
	slices.Sort(files)
	require.Equal(t, files, shown)
}
