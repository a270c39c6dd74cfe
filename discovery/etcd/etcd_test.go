package etcd

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// The newest etcd, partitioned by its network when this process may make one.
func TestConformanceEmbedded(t *testing.T) {
	namespace := testservers.NewNamespace(t)
	if namespace == nil {
		server := testservers.EmbeddedEtcd(t)
		link := testservers.NewLink(t, server.Address)
		conformance(t, server, link.Address, link.Cut, link.Mend)
		return
	}
	server := testservers.EmbeddedEtcdIn(t, namespace)
	_, port, err := net.SplitHostPort(server.Address)
	require.NoError(t, err)
	conformance(t, server, net.JoinHostPort(namespace.Far, port), namespace.Cut, namespace.Mend)
}

func TestConformancePlain(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	registrytest.Run(t, registrytest.Server{
		Engine:      Engine,
		URL:         func(prefix string) string { return "etcd://" + server.Address + "/" + prefix + "?layout=plain" },
		MinTTL:      2 * time.Second,
		ValuesAlone: true,
	})
}

// Debian's etcd, partitioned by a link that swallows.
func TestConformanceDebian(t *testing.T) {
	server := testservers.DebianEtcd(t)
	link := testservers.NewLink(t, server.Address)
	conformance(t, server, link.Address, link.Cut, link.Mend)
}

func conformance(t *testing.T, server *testservers.Etcd, far string, cut, mend func(testing.TB)) {
	url := func(address string) func(string) string {
		return func(prefix string) string { return "etcd://" + address + "/" + prefix }
	}
	dead := testservers.FreeAddress(t)
	registrytest.Run(t, registrytest.Server{
		Engine:  Engine,
		URL:     url(server.Address),
		FarURL:  url(far),
		MinTTL:  time.Second,
		Kill:    server.Kill,
		Restart: server.Start,
		Wipe:    server.Wipe,
		Pause:   server.Pause,
		Resume:  server.Resume,
		Cut:     cut,
		Mend:    mend,
		Compact: func(t testing.TB) {
			raw := rawClient(t, server)
			defer raw.Close()
			response, err := raw.Get(t.Context(), "x")
			require.NoError(t, err)
			_, err = raw.Compact(t.Context(), response.Header.Revision, clientv3.WithCompactPhysical())
			require.NoError(t, err)
		},
		Revoke: func(t testing.TB, prefix string) {
			raw := rawClient(t, server)
			defer raw.Close()
			response, err := raw.Get(t.Context(), "/"+prefix+"/", clientv3.WithPrefix())
			require.NoError(t, err)
			leases := map[clientv3.LeaseID]bool{} // one carries many records
			for _, kv := range response.Kvs {
				leases[clientv3.LeaseID(kv.Lease)] = kv.Lease != 0
			}
			for id, is := range leases {
				if is {
					_, err := raw.Revoke(t.Context(), id)
					require.NoError(t, err)
				}
			}
		},
		Malform: func(t testing.TB, prefix, service string) {
			raw := rawClient(t, server)
			defer raw.Close()
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
				_, err := raw.Put(t.Context(), "/"+prefix+key, value)
				require.NoError(t, err)
			}
		},
		DeniedURL:   "etcd://root:canary-d6b1f2-wrong@" + guardedEtcd(t).Address + "/denied",
		Several:     true,
		DeadURL:     "etcd://" + dead + "/dead?timeout=2s",
		DeadAddress: dead,
	})
}

func rawClient(t testing.TB, server *testservers.Etcd) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{server.Address}, Context: context.Background(), Logger: zap.NewNop(),
	})
	require.NoError(t, err)
	return client
}

// TestValuesLeaveNoLease: a value with a TTL that is written again and again has one lease, not one for each write.
func TestValuesLeaveNoLease(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	registry, err := discovery.NewEngines(Engine).Open(t.Context(), "etcd://"+server.Address+"/leases")
	require.NoError(t, err)
	defer registry.Close()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}})
	require.NoError(t, err)
	defer client.Close()

	values := registry.(discovery.Values)
	for i := range 5 {
		require.NoError(t, values.Put(t.Context(), "A", []byte{byte('0' + i)}, time.Hour))
	}
	leases, err := client.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	got, err := values.Get(t.Context(), "A")
	require.NoError(t, err)
	require.Equal(t, "4", string(got))
}
