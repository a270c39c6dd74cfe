package consul

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// hurry has sessions last 3s at least instead of 10s, until the end of a test that no other runs beside.
func hurry(t *testing.T) {
	t.Cleanup(func() { minSession = leastSession })
	minSession = 3 * time.Second
}

func TestConformance(t *testing.T) {
	hurry(t)
	server := testservers.ConsulAgent(t, nil)
	raw := rawClient(t, server.Address)
	link := testservers.NewLink(t, server.Address)
	dead := testservers.FreeAddress(t)
	at := func(address string) func(string) string {
		return func(prefix string) string { return "consul://" + address + "/" + prefix }
	}
	registrytest.Run(t, registrytest.Server{
		Engine:  Engine,
		URL:     at(server.Address),
		FarURL:  at(link.Address),
		MinTTL:  minTTL,
		Kill:    server.Kill,
		Restart: server.Start,
		Wipe:    server.Wipe,
		Pause:   server.Pause,
		Resume:  server.Resume,
		Cut:     link.Cut,
		Mend:    link.Mend,
		Compact: func(t testing.TB) { restore(t, raw, save(t, raw)) }, // which forgets all that wait
		Revoke:  func(t testing.TB, prefix string) { revoke(t, raw, prefix) },
		Malform: func(t testing.TB, prefix, service string) {
			session, _, err := raw.Session().CreateNoChecks(&api.SessionEntry{TTL: "1h"}, nil)
			require.NoError(t, err)
			for key, value := range map[string]string{
				"/services/" + service + "/empty":       "",
				"/services/" + service + "/text":        "10.0.0.5:80",
				"/services/" + service + "/list":        "[]",
				"/services/" + service + "/null":        "null",
				"/services/" + service + "/ports":       `{"ports":{"http":"eighty"}}`,
				"/services/" + service + "/tags":        `{"tags":"blue"}`,
				"/services/" + service + "/":            `{}`,
				"/services/" + service + "/a/b":         `{}`,
				"/services/" + service + "/%zz":         `{}`,
				"/services/" + service + "/un%5Fescape": `{}`,
				"/services/" + service:                  `{}`,
				"/services/":                            `{}`,
			} {
				held := &api.KVTxnOp{Verb: api.KVLock, Key: prefix + key, Value: []byte(value), Session: session}
				require.NoError(t, write(t.Context(), raw, &api.KVTxnOp{Verb: api.KVDelete, Key: prefix + key}, held))
			}
			nobodys := &api.KVTxnOp{Verb: api.KVSet, Key: prefix + "/services/" + service + "/nobodys", Value: []byte(`{}`)}
			require.NoError(t, write(t.Context(), raw, nobodys))
		},
		DeniedURL:   "consul://" + guardedConsul(t).Address + "/denied?token-file=" + tokenFile(t, "canary-d6b1f2"),
		DeadURL:     "consul://" + dead + "/dead?timeout=2s",
		DeadAddress: dead,
	})
}

// rawClient is the official client with nothing of ours.
func rawClient(t testing.TB, address string) *api.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	client, err := api.NewClient(&api.Config{Address: address, Transport: transport, HttpClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	return client
}

// revoke ends every session that holds something below a prefix.
func revoke(t testing.TB, raw *api.Client, prefix string) {
	entries, _, err := raw.KV().List(prefix+"/", nil)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Session != "" {
			_, err := raw.Session().Destroy(entry.Session, nil)
			require.NoError(t, err)
		}
	}
}

// save gives all that the server knows, and restore makes it know that alone again.
func save(t testing.TB, raw *api.Client) string {
	snapshot, _, err := raw.Snapshot().Save(nil)
	require.NoError(t, err)
	defer snapshot.Close()
	all, err := io.ReadAll(snapshot)
	require.NoError(t, err)
	return string(all)
}

func restore(t testing.TB, raw *api.Client, snapshot string) {
	require.NoError(t, raw.Snapshot().Restore(nil, strings.NewReader(snapshot)))
}

func TestConformancePlain(t *testing.T) {
	hurry(t)
	server := testservers.ConsulAgent(t, nil)
	registrytest.Run(t, registrytest.Server{
		Engine:      Engine,
		URL:         func(prefix string) string { return "consul://" + server.Address + "/" + prefix + "?layout=plain" },
		MinTTL:      minTTL,
		ValuesAlone: true,
	})
}

// The layout containerpilot has the catalogue alone, where nothing keeps one test's services from another's: so
// each test has an agent of its own, that ends with it. What is long and the same for all layouts is left to the other.
func TestConformanceContainerPilot(t *testing.T) {
	hurry(t)
	dead := testservers.FreeAddress(t)
	fleet := &fleet{T: t, servers: map[string]*testservers.Consul{}, link: testservers.NewLink(t, dead)}
	const query = "?layout=containerpilot"
	registrytest.Run(t, registrytest.Server{
		Engine: Engine,
		URL: func(prefix string) string {
			return "consul://" + fleet.server(prefix).Address + "/" + prefix + query
		},
		FarURL: func(prefix string) string {
			fleet.link.Aim(fleet.server(prefix).Address)
			return "consul://" + fleet.link.Address + "/" + prefix + query
		},
		Over:        fleet.end,
		MinTTL:      time.Second,
		DefaultTTL:  30 * time.Second,
		PlainNames:  true,
		IgnoresCase: true,
		Count:       200,
		Watchers:    50,
		Fit:         onePort,
		Cut:         fleet.link.Cut,
		Mend:        fleet.link.Mend,
		Revoke: func(t testing.TB, prefix string) {
			raw := rawClient(t, fleet.server(prefix).Address)
			revoke(t, raw, prefix)
			services, err := raw.Agent().Services()
			require.NoError(t, err)
			for id := range services {
				require.NoError(t, raw.Agent().ServiceDeregister(id))
			}
		},
		Malform: func(t testing.TB, prefix, service string) {
			raw := rawClient(t, fleet.server(prefix).Address)
			for _, odd := range []*api.AgentServiceRegistration{
				{ID: "critical", Name: service, Check: &api.AgentServiceCheck{TTL: "1h"}},
				{ID: "warning", Name: service, Check: &api.AgentServiceCheck{TTL: "1h", Status: api.HealthWarning}},
				{ID: "upper", Name: strings.ToUpper(service)},
			} {
				require.NoError(t, raw.Agent().ServiceRegister(odd))
			}
		},
		DeniedURL:   "consul://" + guardedConsul(t).Address + "/denied" + query + "&token-file=" + tokenFile(t, "canary-d6b1f2"),
		DeadURL:     "consul://" + dead + "/dead" + query + "&timeout=2s",
		DeadAddress: dead,
	})
}

// onePort is what the layout can write.
func onePort(in discovery.Instance) discovery.Instance {
	fit := discovery.Instance{ID: in.ID, Service: in.Service, Host: in.Host, Tags: in.Tags, State: discovery.Passing}
	for _, port := range in.Ports {
		fit.Ports = map[string]discovery.Port{discovery.DefaultPort: port}
	}
	return fit
}

// fleet has an agent for each prefix, started when it is asked for, and a link to one of them.
type fleet struct {
	*testing.T
	lock    sync.Mutex
	servers map[string]*testservers.Consul
	link    *testservers.Link
}

func (f *fleet) server(prefix string) *testservers.Consul {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.servers[prefix] == nil {
		f.servers[prefix] = testservers.ForgetfulConsul(f, nil)
	}
	return f.servers[prefix]
}

// end ends the agent of a prefix: one that idles costs as much in a minute as its start.
func (f *fleet) end(prefix string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if server := f.servers[prefix]; server != nil {
		server.Kill(f)
	}
}
