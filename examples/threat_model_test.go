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

// TestThreatModel: every row of docs/threat-model.md names tests, and each of them is in the tree.
func TestThreatModel(t *testing.T) {
	page, err := os.ReadFile("../docs/threat-model.md")
	require.NoError(t, err)
	tests := testsOfTheTree(t)
	rows := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Entry point") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		require.Len(t, cells, 5, line)
		for name := range strings.SplitSeq(cells[4], ", ") {
			if script, is := strings.CutPrefix(name, "TestScript/"); is {
				require.FileExists(t, filepath.Join("../cmd/envharness/testdata/script", script+".txtar"))
				continue
			}
			require.Equal(t, 1, tests[name], "%s is to be one test of the tree", name)
		}
	}
	require.Greater(t, rows, 20)
}

// testsOfTheTree counts the tests of each name, alone and behind the name of their directory.
func testsOfTheTree(t *testing.T) map[string]int {
	tests := map[string]int{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			tests[string(match[1])]++
			tests[filepath.Base(filepath.Dir(path))+"."+string(match[1])]++
		}
		return err
	}))
	return tests
}
