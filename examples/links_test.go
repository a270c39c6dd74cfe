package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeLinks follows every link of every document of the tree that leads to another file or to a section: the
// file exists, and #name is a heading of it.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	followed := 0
	for _, path := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(prose(t, path), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			file, name, hasName := strings.Cut(match[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			_, err := os.Stat(target)
			require.NoError(t, err, "%s links to %s", path, match[1])
			require.True(t, !hasName || headings(t, target)[name], "%s links to %s, which is no section", path, match[1])
			followed++
		}
	}
	require.Greater(t, followed, 60)
}

// pages are all documents of the tree.
func pages(t *testing.T) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	}))
	require.Greater(t, len(paths), 15)
	return paths
}

// prose is a document without its fenced blocks and without what stands in backquotes.
func prose(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAll(text, nil)
	return regexp.MustCompile("`[^`\n]+`").ReplaceAllString(string(text), "x")
}

// headings are the names of a document's sections, as GitHub makes them: small letters, hyphens for blanks, and no
// punctuation.
func headings(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}
