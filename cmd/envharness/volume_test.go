package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneGeneration: while a volume is updated all the time, what a start takes from it is of one generation.
func TestOneGeneration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var names []string
	for i := range 100 { // so many that an update comes while they are read
		names = append(names, fmt.Sprintf("N%02d", i))
	}
	turn := func(n int) {
		generation := filepath.Join(dir, fmt.Sprintf("..%d", n))
		require.NoError(t, os.Mkdir(generation, 0o755))
		for _, name := range names {
			require.NoError(t, os.WriteFile(filepath.Join(generation, name), []byte(fmt.Sprint(n)), 0o644))
		}
		require.NoError(t, os.Symlink(filepath.Base(generation), filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", n-1))))
	}
	turn(1)
	for _, name := range names {
		require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, name)))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() {
		defer close(stopped)
		for n := 2; ; n++ {
			select {
			case <-stop:
				return
			default:
				turn(n)
			}
		}
	}()
	for range 40 {
		result := run(t, harness(t, dir, "print", "--environment", dir, "--format", "nul"))
		require.Equal(t, 0, result.code, result.stderr)
		values := map[string]bool{}
		for entry := range strings.SplitSeq(strings.TrimSuffix(result.stdout, "\x00"), "\x00") {
			_, value, _ := strings.Cut(entry, "=")
			values[value] = true
		}
		require.Len(t, values, 1, "%q", result.stdout)
	}
}
