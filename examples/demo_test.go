package examples_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "../scripts/demo", envharness)
	require.Equal(t, 0, got.exitCode, got.stdout)
	require.Contains(t, got.stdout, "is the command, with:\n")
	require.Contains(t, got.stdout, "\nPAYPAL_CLIENT_SECRET=not-secret-developer-sandbox\n")
	require.Contains(t, got.stdout, "would announce a database at ")
	require.Contains(t, got.stdout, "(exit code 125)")
	require.NotContains(t, got.stdout, "\nnever printed")
}
