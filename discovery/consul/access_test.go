package consul

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
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

// newToken makes a token with one policy at a guarded agent.
func newToken(t testing.TB, server *testservers.Consul, rules string) string {
	t.Helper()
	raw := rawClient(t, server.Address)
	as := &api.WriteOptions{Token: management}
	policy, _, err := raw.ACL().PolicyCreate(&api.ACLPolicy{Name: filepath.Base(t.TempDir()) + time.Now().Format("-150405.000000000")[1:7], Rules: rules}, as)
	require.NoError(t, err)
	token, _, err := raw.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, as)
	require.NoError(t, err)
	return token.SecretID
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	return file
}

func openForTest(t testing.TB, url string, settings ...discovery.Setting) discovery.Registry {
	t.Helper()
	registry, err := discovery.NewEngines(Engine).Open(t.Context(), url, settings...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	return registry
}
