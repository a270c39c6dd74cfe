package etcd

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

// registerMany announces so many instances of a service in one registry.
func registerMany(t testing.TB, registry discovery.Registry, service string, count int, ttl time.Duration) []discovery.Registration {
	t.Helper()
	registrations := make([]discovery.Registration, count)
	for i := range registrations {
		in := instance()
		in.Service, in.ID = service, fmt.Sprintf("i%05d", i)
		registration, err := registry.Register(t.Context(), in, ttl)
		require.NoError(t, err)
		registrations[i] = registration
	}
	for _, registration := range registrations {
		require.NoError(t, registration.WaitReady(t.Context()))
	}
	return registrations
}

// What keeps registrations alive grows with processes, not with instances: leases, and messages of every kind.
func TestSharesKeepAlives(t *testing.T) {
	t.Parallel()
	const count, processes = 500, 2
	server := testservers.EmbeddedEtcd(t)
	raw := rawClient(t, server)
	defer raw.Close()
	var all []discovery.Registration
	for i := range processes {
		all = append(all, registerMany(t, openForTest(t, "etcd://"+server.Address+"/x"), fmt.Sprint("web", i), count, 6*time.Second)...)
	}
	leases, err := raw.Leases(t.Context())
	require.NoError(t, err)
	require.Equal(t, processes, len(leases.Leases))

	kinds := []string{
		`grpc_server_msg_received_total{grpc_method="LeaseKeepAlive"`,
		`grpc_server_started_total{grpc_method="LeaseTimeToLive"`,
		`grpc_server_started_total{grpc_method="Txn"`,
		`grpc_server_started_total{grpc_method="Range"`,
	}
	sum := func() (n int) {
		for _, kind := range kinds {
			n += metric(t, server, kind)
		}
		return n
	}
	before := sum()
	time.Sleep(all[0].TTL())
	require.Less(t, sum()-before, processes*count, "each would send 6 and more")
	for _, registration := range all {
		require.NoError(t, registration.Err())
	}
	snapshot, err := openForTest(t, "etcd://"+server.Address+"/x").Instances(t.Context(), "web0", discovery.Query{All: true})
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, count)
}

// A lease that is lost is made up for by all that were on it, and who loses its ID to another takes none with it.
func TestLosesASharedLease(t *testing.T) {
	t.Parallel()
	const count = 200
	server := testservers.EmbeddedEtcd(t)
	raw := rawClient(t, server)
	defer raw.Close()
	registry := openForTest(t, "etcd://"+server.Address+"/x")
	all := registerMany(t, registry, "web", count, 6*time.Second)
	snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{All: true})
	require.NoError(t, err)
	leases, err := raw.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	_, err = raw.Revoke(t.Context(), leases.Leases[0].ID)
	require.NoError(t, err)
	lost := false
	for snapshot := range snapshots {
		lost = lost || len(snapshot.Instances) < count
		if lost && len(snapshot.Instances) == count {
			break
		}
	}

	newer := registerMany(t, openForTest(t, "etcd://"+server.Address+"/x"), "web", 1, 6*time.Second)
	<-all[0].Done()
	require.ErrorIs(t, all[0].Err(), discovery.ErrConflict)
	require.NoError(t, all[1].Close())
	response, err := raw.Get(t.Context(), "/x/services/web/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	require.EqualValues(t, count-1, response.Count)
	for _, registration := range append(all[2:], newer...) {
		require.NoError(t, registration.Err())
	}
}

// One user's right to one key that is taken away ends one registration, and not those beside it on the lease.
func TestDeniedBesideOthers(t *testing.T) {
	t.Parallel()
	server := guardedEtcd(t)
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}, Username: "root", Password: "rootpw"})
	require.NoError(t, err)
	defer root.Close()
	grant := func(prefix string) {
		_, err := root.RoleGrantPermission(t.Context(), "web", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
		require.NoError(t, err)
	}
	grant("/two/services/a/")
	grant("/two/services/b/")
	registry := openForTest(t, "etcd://web:webpw@"+server.Address+"/two")
	a := registerMany(t, registry, "a", 1, 4*time.Second)[0]
	b := registerMany(t, registry, "b", 1, 4*time.Second)[0]
	_, err = root.RoleRevokePermission(t.Context(), "web", "/two/services/b/", clientv3.GetPrefixRangeEnd("/two/services/b/"))
	require.NoError(t, err)
	<-b.Done()
	require.ErrorIs(t, b.Err(), discovery.ErrDenied)
	time.Sleep(3 * a.TTL() / 2)
	require.NoError(t, a.Err())
	require.NoError(t, a.Close())
	response, err := root.Get(t.Context(), "/two/services/", clientv3.WithPrefix())
	require.NoError(t, err)
	for _, kv := range response.Kvs {
		require.Contains(t, string(kv.Key), "/b/")
	}
	require.Eventually(t, func() bool {
		response, err := root.Get(t.Context(), "/two/services/", clientv3.WithPrefix())
		return err == nil && len(response.Kvs) == 0
	}, time.Minute, 50*time.Millisecond, "the lease has run out")
}

// An update is one request; what another has written meanwhile is read then, and kept.
func TestUpdatesInOneStep(t *testing.T) {
	t.Parallel()
	server := testservers.EmbeddedEtcd(t)
	raw := rawClient(t, server)
	defer raw.Close()
	registration := registerMany(t, openForTest(t, "etcd://"+server.Address+"/x"), "web", 1, time.Minute)[0]
	update := func(tag string) {
		in := instance()
		in.Service, in.ID, in.Tags = "web", "i00000", []string{tag}
		require.NoError(t, registration.Update(t.Context(), in))
	}
	const reads = `grpc_server_started_total{grpc_method="Range"`
	before := metric(t, server, reads)
	for n := range 5 {
		update(fmt.Sprint(n))
	}
	require.Equal(t, before, metric(t, server, reads))

	record := func() *mvccpb.KeyValue {
		response, err := raw.Get(t.Context(), "/x/services/web/i00000")
		require.NoError(t, err)
		require.Len(t, response.Kvs, 1)
		return response.Kvs[0]
	}
	was := record()
	_, err := raw.Put(t.Context(), string(was.Key), `{"future":1}`, clientv3.WithLease(clientv3.LeaseID(was.Lease)))
	require.NoError(t, err)
	for n := range 2 {
		update(fmt.Sprint("after-", n))
		require.Contains(t, string(record().Value), `"future":1`)
		require.Contains(t, string(record().Value), fmt.Sprint("after-", n))
	}
}
