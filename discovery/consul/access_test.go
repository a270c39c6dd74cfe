package consul

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// management is the token that may do everything at a guarded agent.
const management = "4f6a9a24-6a2d-4a55-9a0e-d6b1f2000001"

// guardedConsul is an agent that denies what no token allows.
func guardedConsul(t testing.TB) *testservers.Consul {
	return testservers.ConsulAgent(t, map[string]any{"acl": map[string]any{
		"enabled":        true,
		"default_policy": "deny",
		"tokens":         map[string]any{"initial_management": management, "agent": management},
	}})
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	return file
}
