package consul

import (
	"crypto/rand"
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
	t.Helper()
	server := testservers.ConsulAgent(t, map[string]any{"acl": map[string]any{
		"enabled":        true,
		"default_policy": "deny",
		"tokens":         map[string]any{"initial_management": management, "agent": management},
	}})
	raw := rawClient(t, server.Address)
	require.Eventually(t, func() bool { // the new leader makes the token
		_, _, err := raw.ACL().TokenReadSelf(&api.QueryOptions{Token: management})
		return err == nil
	}, patience, 20*time.Millisecond)
	return server
}

// newToken makes a token with one policy at a guarded agent.
func newToken(t testing.TB, server *testservers.Consul, rules string) string {
	t.Helper()
	raw := rawClient(t, server.Address)
	as := &api.WriteOptions{Token: management}
	policy, _, err := raw.ACL().PolicyCreate(&api.ACLPolicy{Name: rand.Text(), Rules: rules}, as)
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

func TestAccess(t *testing.T) {
	t.Parallel()
	server := guardedConsul(t)
	address := "consul://" + server.Address + "/p"
	all := newToken(t, server, `key_prefix "p/" { policy = "write" } session_prefix "" { policy = "write" }
		service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`)
	reader := newToken(t, server, `key_prefix "p/" { policy = "read" }`)
	nodeless := newToken(t, server, `service_prefix "" { policy = "write" }`)
	for _, layout := range []string{"native", "containerpilot"} {
		registry := openForTest(t, address+"?layout="+layout+"&token-file="+tokenFile(t, all))
		announce(t, registry, instance("of-"+layout, "of-"+layout+"-1", 1), time.Minute)
		require.Len(t, ids(t, registry, "of-"+layout, discovery.Query{}), 1)
	}
	for what, url := range map[string]string{
		"unknown token": address + "?token-file=" + tokenFile(t, "canary-d6b1f2"),
		"no token":      address,
		"other prefix":  "consul://" + server.Address + "/other?token-file=" + tokenFile(t, all),
	} {
		registry := openForTest(t, url)
		for op, err := range map[string]error{
			"instances": second(registry.Instances(t.Context(), "web", discovery.Query{})),
			"services":  second(registry.Services(t.Context())),
			"watch":     second(registry.Watch(t.Context(), "web", discovery.Query{})),
			"get":       second(registry.(discovery.Values).Get(t.Context(), "NAME")),
			"list":      second(registry.(discovery.Values).List(t.Context())),
			"put":       registry.(discovery.Values).Put(t.Context(), "NAME", nil, 0),
		} {
			require.ErrorIs(t, err, discovery.ErrDenied, "%s: %s", what, op)
			require.Contains(t, discovery.Hint(err), "token-file")
			require.NotContains(t, err.Error()+discovery.Hint(err), "canary")
		}
	}
	const pilot = "of-containerpilot"
	for what, token := range map[string]string{"there is none": "", "its policy has no services": reader, "its policy has no nodes": nodeless} {
		registry := openForTest(t, address+"?layout=containerpilot&token-file="+tokenFile(t, token))
		registration, err := registry.Register(t.Context(), instance(pilot, pilot+"-2", 1), 2*time.Second)
		require.NoError(t, err)
		awaitEnd(t, registration.Done(), "it goes on, though the token is none for it: "+what)
		errs := map[string]error{
			"register":  registration.Err(),
			"instances": second(registry.Instances(t.Context(), pilot, discovery.Query{})),
			"watch":     second(registry.Watch(t.Context(), pilot, discovery.Query{})),
		}
		if token == reader {
			errs["services"] = second(registry.Services(t.Context()))
		}
		for op, err := range errs {
			require.ErrorIs(t, err, discovery.ErrDenied, "%s: %s", what, op)
			require.Contains(t, discovery.Hint(err), "token-file")
		}
	}
	values := openForTest(t, address+"?token-file="+tokenFile(t, reader)).(discovery.Values)
	require.ErrorIs(t, values.Put(t.Context(), "NAME", nil, 0), discovery.ErrDenied)
	require.ErrorIs(t, second(values.Get(t.Context(), "NAME")), discovery.ErrNotFound)

	file := tokenFile(t, "canary-d6b1f2")
	registry := openForTest(t, address+"?token-file="+file)
	require.ErrorIs(t, second(registry.Services(t.Context())), discovery.ErrDenied)
	require.NoError(t, os.WriteFile(file, []byte(all+"\n"), 0o600))
	require.NoError(t, second(registry.Services(t.Context()))) // the file is read again
}

func second[T any](_ T, err error) error { return err }
