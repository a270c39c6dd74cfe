package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArchitecture keeps ARCHITECTURE.md true: a path in backquotes is a file or folder of the tree, and a step of
// a walk, "1. `file` `function`", names a function that the file declares.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	require.NoError(t, err)

	paths := regexp.MustCompile("`((?:cmd|harness|discovery|exporters|registryd|internal|examples)(?:/[a-z0-9_*./]+)?)`").FindAllSubmatch(text, -1)
	require.Greater(t, len(paths), 30)
	for _, path := range paths {
		found, err := filepath.Glob(filepath.Join("..", string(path[1])))
		require.NoError(t, err)
		require.NotEmpty(t, found, "ARCHITECTURE.md names %s, which does not exist", path[1])
	}
	require.NotEmpty(t, glob(t, "../harness/init_*_linux.go"))

	steps := regexp.MustCompile("(?m)^[0-9]+\\. `([^`]+)`( `([^`]+)`)?").FindAllSubmatch(text, -1)
	require.Greater(t, len(steps), 20)
	for _, step := range steps {
		file, function := string(step[1]), string(step[3])
		require.NotEmpty(t, function, "the step at %s names no function", file)
		require.Contains(t, functionsOf(t, filepath.Join("..", file)), function, "ARCHITECTURE.md enters %s", file)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return found
}

// functionsOf lists the functions and methods that a file declares.
func functionsOf(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, declaration := range file.Decls {
		if function, is := declaration.(*ast.FuncDecl); is {
			names = append(names, function.Name.Name)
		}
	}
	return names
}
