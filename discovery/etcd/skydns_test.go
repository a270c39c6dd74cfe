package etcd

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

func TestConformanceSkyDNS(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	registrytest.Run(t, registrytest.Server{
		Engine:     Engine,
		URL:        func(prefix string) string { return skydnsURL(server, prefix+".test") },
		MinTTL:     time.Second,
		PlainNames: true,
		Fit: func(in discovery.Instance) discovery.Instance {
			in.User, in.Password, in.State = "", "", discovery.Passing
			in.Unknown = map[string]discovery.RawField{"ttl": discovery.RawField("60")}
			return in
		},
		Revoke: func(t testing.TB, prefix string) {
			raw := rawClient(t, server)
			defer raw.Close()
			for _, below := range []string{"/skydns/test/" + prefix + "/", "/" + prefix + ".test/"} {
				response, err := raw.Get(t.Context(), below, clientv3.WithPrefix())
				require.NoError(t, err)
				for _, kv := range response.Kvs {
					_, _ = raw.Revoke(t.Context(), clientv3.LeaseID(kv.Lease)) // keys may share one
				}
			}
		},
		Malform: func(t testing.TB, prefix, service string) {
			raw := rawClient(t, server)
			defer raw.Close()
			for key, value := range map[string]string{
				"/empty": "", "/text": "10.0.0.5:80", "/list": "[]", "/null": "null", "/hostless": "{}", "/_tcp/_http/x": "nonsense",
				"/port": `{"host":"h","port":"eighty"}`, "/a/b/c": "{}", "": "{}", "/": "{}",
			} {
				_, err := raw.Put(t.Context(), "/skydns/test/"+prefix+"/"+service+key, value)
				require.NoError(t, err)
			}
		},
		Count:    200,
		Watchers: 20,
	})
}

func skydnsURL(server *testservers.Etcd, zone string) string {
	return "etcd://" + server.Address + "/" + zone + "?layout=skydns"
}

// Each port is announced with its instance, changed with it, and goes with it; all of an ID is the newest's, and what
// others take away is put back.
func TestSkyDNSPorts(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	raw := rawClient(t, server)
	defer raw.Close()
	keys := func() []string {
		response, err := raw.Get(t.Context(), "/skydns/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		require.NoError(t, err)
		all := []string{}
		for _, kv := range response.Kvs {
			all = append(all, strings.TrimPrefix(string(kv.Key), "/skydns/test/"))
		}
		slices.Sort(all)
		return all
	}
	open := func() discovery.Registry {
		registry, err := discovery.NewEngines(Engine).Open(t.Context(), skydnsURL(server, "test"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, registry.Close()) })
		return registry
	}
	register := func(in discovery.Instance) discovery.Registration {
		registration, err := open().Register(t.Context(), in, 4*time.Second)
		require.NoError(t, err)
		require.NoError(t, registration.WaitReady(t.Context()))
		return registration
	}
	in := discovery.Instance{ID: "a", Service: "web", Host: "10.0.0.5", Ports: map[string]discovery.Port{
		"http": {Number: 80}, "dns": {Number: 53, Protocol: "udp"},
	}}
	first := register(in)
	require.Equal(t, []string{"web/_tcp/_http/a", "web/_udp/_dns/a", "web/a"}, keys())

	in.Ports = map[string]discovery.Port{"http": {Number: 81}, "grpc": {Number: 90}}
	require.NoError(t, first.Update(t.Context(), in))
	require.Equal(t, []string{"web/_tcp/_grpc/a", "web/_tcp/_http/a", "web/a"}, keys())

	_, err := raw.Delete(t.Context(), "/skydns/test/web/_tcp/_http/a")
	require.NoError(t, err)
	_, err = raw.Put(t.Context(), "/skydns/test/web/_tcp/_grpc/a", "{}")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		response, err := raw.Get(t.Context(), "/skydns/test/web/_tcp/_grpc/a")
		return err == nil && len(keys()) == 3 && response.Count == 1 && string(response.Kvs[0].Value) == `{"host":"a.web.test","port":90,"ttl":4}`
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, first.Err())

	in.Ports = map[string]discovery.Port{"http": {Number: 82}}
	second := register(in)
	<-first.Done()
	require.ErrorIs(t, first.Err(), discovery.ErrConflict)
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return slices.Equal(keys(), []string{"web/_tcp/_http/a", "web/a"}) }, time.Minute, 50*time.Millisecond,
		"what the older one alone had is gone with it")
	in.State = discovery.Failing
	require.NoError(t, second.Update(t.Context(), in))
	require.Empty(t, keys(), "DNS answers with those that pass alone")
	in.State = discovery.Passing
	require.NoError(t, second.Update(t.Context(), in))
	require.Len(t, keys(), 2)
	require.NoError(t, second.Close())
	require.Empty(t, keys())
}
