package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestPutIf writes only what is as the writer knows it.
func TestPutIf(t *testing.T) {
	url := "etcd://" + testservers.EmbeddedEtcd(t).Address
	put := func(args ...string) (code int, stderr string) {
		var text strings.Builder
		cmd := envdiscover(url, append([]string{"put", "A"}, args...)...)
		cmd.Stderr = &text
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode(), text.String()
	}
	file := filepath.Join(t.TempDir(), "old")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o600))
	for _, step := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"one", "--if-unchanged", file}, exitFailure, "there is none any more"},
		{[]string{"one", "--if-absent"}, 0, ""},
		{[]string{"two", "--if-absent"}, exitFailure, "there is one already\nenvdiscover: hint: read it again by envdiscover get"},
		{[]string{"two", "--if-unchanged", file}, 0, ""},
		{[]string{"three", "--if-unchanged", file}, exitFailure, "it has changed"},
		{[]string{"three", "--if-unchanged", file + "x"}, exitFailure, "no such file"},
		{[]string{"three", "--if-unchanged", file, "--if-absent"}, exitUsage, "exclude each other"},
		{[]string{"three", "--if-absent", "--ttl", "1s"}, exitUsage, "do not go with"},
	} {
		code, stderr := put(step.args...)
		require.Equal(t, step.code, code, "%v: %s", step.args, stderr)
		require.Contains(t, stderr, step.say)
		require.NotContains(t, stderr, "--id", "a hint that is not about values")
	}
	require.Equal(t, "two\n", run(t, url, "get", "A"))
}
