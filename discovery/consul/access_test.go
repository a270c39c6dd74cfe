package consul

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
	for _, layout := range []string{"native", "containerpilot"} {
		registry := openForTest(t, address+"?layout="+layout+"&token-file="+tokenFile(t, all))
		announce(t, registry, instance("of-"+layout, "of-"+layout+"-1", 1), 2*time.Second)
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

// Consul's own variables hold where the URL says nothing.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	certificates := testservers.NewCertificates(t)
	server, secure := testservers.ConsulTLS(t, certificates)
	check := func(url string, variables map[string]string) error {
		getenv := func(name string) string { return variables[name] }
		return discovery.NewEngines(Engine).Check(t.Context(), url, discovery.WithGetenv(getenv))
	}
	keys := map[string]string{
		"CONSUL_HTTP_ADDR": "https://" + secure, "CONSUL_CACERT": certificates.CA,
		"CONSUL_CLIENT_CERT": certificates.ClientCert, "CONSUL_CLIENT_KEY": certificates.ClientKey,
	}
	require.NoError(t, check("consul://", map[string]string{"CONSUL_HTTP_ADDR": server.Address}))
	require.NoError(t, check("consul:///p?timeout=3s", keys))
	query := url.Values{"ca": {certificates.CA}, "cert": {certificates.ClientCert}, "key": {certificates.ClientKey}, "timeout": {"3s"}}
	require.NoError(t, check("consuls://"+secure+"/p?"+query.Encode(), nil))
	require.NoError(t, check("consul://"+server.Address, map[string]string{"CONSUL_HTTP_ADDR": testservers.FreeAddress(t)}))
	query.Set("server-name", "other.example")
	for _, wrong := range []string{
		"consuls://" + secure + "/p?" + query.Encode(),
		"consuls://" + secure + "/p?timeout=3s&ca=" + certificates.CA,
		"consul://" + secure + "/p?timeout=3s",
	} {
		require.Error(t, check(wrong, nil), wrong)
	}
	require.ErrorIs(t, check("consul://", map[string]string{"CONSUL_HTTP_ADDR": "ftp://h"}), discovery.ErrInvalid)
	require.ErrorIs(t, check("consul://", map[string]string{"CONSUL_HTTP_SSL": "perhaps"}), discovery.ErrInvalid)
	for _, wrong := range []string{"consul://a,b", "consul://a/p?odd=1", "consul://a/p?deregister-after=5s", "consul://a/a%25b", "consul://a/p?enable-tag-override=x"} {
		require.ErrorIs(t, check(wrong, nil), discovery.ErrInvalid, wrong)
	}
}

// What Consul's own readers see: the instance without its credentials, and nothing while it does not pass.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	raw := rawClient(t, server.Address)
	registry := openForTest(t, "consul://"+server.Address)
	in := instance("web", "web-1", 80)
	in.User, in.Password, in.Tags = "u", "canary-d6b1f2", []string{"blue"}
	registration := announce(t, registry, in, 0)
	announce(t, registry, instance("db", "web-1", 81), 0) // an ID is unique within its service alone
	passing := func(service string) []*api.ServiceEntry {
		entries, _, err := raw.Health().Service(service, "", true, nil)
		require.NoError(t, err)
		return entries
	}
	found := passing("web")
	require.Len(t, found, 1)
	service := found[0].Service
	require.Equal(t, []any{"web-1", "10.0.0.5", 80, []string{"blue"}}, []any{service.ID, service.Address, service.Port, service.Tags})
	require.NotContains(t, service.Meta, "password")
	for _, value := range service.Meta {
		require.NotContains(t, value, "canary")
	}
	require.Len(t, passing("db"), 1)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "db", discovery.Query{}))
	record, _, err := raw.KV().Get("envharness/services/web/web-1", nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"web-1","service":"web","host":"10.0.0.5","ports":{"http":{"number":80,"protocol":"tcp"}},
		"user":"u","password":"canary-d6b1f2","tags":["blue"],"state":"passing"}`, string(record.Value))

	in.State = discovery.Draining
	require.NoError(t, registration.Update(t.Context(), in))
	require.Eventually(t, func() bool { return len(passing("web")) == 0 }, patience, 20*time.Millisecond)
	in.State = discovery.Passing
	require.NoError(t, registration.Update(t.Context(), in))
	require.Eventually(t, func() bool { return len(passing("web")) == 1 }, patience, 20*time.Millisecond)

	// An operator's maintenance hides it from us too, and a service of others is none of ours.
	require.NoError(t, raw.Agent().EnableServiceMaintenance("web-1", "test"))
	require.Eventually(t, func() bool { return len(ids(t, registry, "web", discovery.Query{})) == 0 }, patience, 20*time.Millisecond)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "web", discovery.Query{All: true}))
	require.NoError(t, raw.Agent().DisableServiceMaintenance("web-1"))
	require.Eventually(t, func() bool { return len(ids(t, registry, "web", discovery.Query{})) == 1 }, patience, 20*time.Millisecond)
	require.NoError(t, raw.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "others", Name: "web", Port: 70000}))
	pilots := openForTest(t, "consul://"+server.Address+"?layout=containerpilot")
	require.Eventually(t, func() bool { // the agent brings it into the catalogue in its own time
		return slices.Equal([]string{"others", "web-1"}, ids(t, pilots, "web", discovery.Query{}))
	}, patience, 20*time.Millisecond)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "web", discovery.Query{All: true}))
	announce(t, pilots, instance("pilot", "pilot-h", 8000), 0)
	checks, _, err := raw.Health().Checks("pilot", nil)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	require.Equal(t, []string{"pilot-h", "pilot-h", "pilot-h"}, []string{checks[0].CheckID, checks[0].Name, checks[0].ServiceID})
}
