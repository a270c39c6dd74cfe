package etcd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// guardedEtcd has users: root, and web, who may touch the prefix web only.
func guardedEtcd(t *testing.T) *testservers.Etcd {
	server := testservers.EmbeddedEtcd(t)
	client := rawClient(t, server)
	defer client.Close()
	ctx := t.Context()
	for _, do := range []func() error{
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "root", "rootpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, "web"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "web", "/web/", clientv3.GetPrefixRangeEnd("/web/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, "web", "webpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "web", "web"); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, do())
	}
	return server
}

func openForTest(t *testing.T, url string, settings ...discovery.Setting) discovery.Registry {
	t.Helper()
	registry, err := discovery.NewEngines(Engine).Open(t.Context(), url, settings...)
	require.NoError(t, err)
	t.Cleanup(func() { registry.Close() })
	return registry
}

func instance() discovery.Instance {
	return discovery.Instance{ID: "a", Service: "web", Host: "10.0.0.5", Ports: map[string]discovery.Port{"http": {Number: 80}}}
}

// announce registers, waits, reads and watches: all that a user needs to be let do.
func announce(t *testing.T, registry discovery.Registry) {
	t.Helper()
	registration, err := registry.Register(t.Context(), instance(), time.Second, discovery.SyncCredentials)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) == 1 })
	time.Sleep(2 * registration.TTL()) // renewals log in, too
	require.NoError(t, registration.Err())
	require.NoError(t, registration.Close())
	for snapshot := range snapshots {
		if len(snapshot.Instances) == 0 {
			require.False(t, snapshot.Stale)
			return
		}
	}
}

func TestLogin(t *testing.T) {
	server := guardedEtcd(t)
	t.Run("whole access", func(t *testing.T) {
		announce(t, openForTest(t, "etcd://root:rootpw@"+server.Address+"/any?timeout=1m"))
	})
	t.Run("access to one prefix", func(t *testing.T) {
		announce(t, openForTest(t, "etcd://web:webpw@"+server.Address+"/web?timeout=1m"))
		_, err := openForTest(t, "etcd://web:webpw@"+server.Address+"/other?timeout=1m").Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrDenied)
		require.NotEmpty(t, discovery.Hint(err))
	})
	t.Run("by the environment", func(t *testing.T) {
		variables := map[string]string{discovery.UserVariable: "web", discovery.PasswordVariable: "webpw"}
		getenv := func(name string) string { return variables[name] }
		announce(t, openForTest(t, "etcd://"+server.Address+"/web?timeout=1m", discovery.WithGetenv(getenv)))
	})
	t.Run("by a file that changes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "user")
		require.NoError(t, os.WriteFile(path, []byte("web:wrong\n"), 0o600))
		registry := openForTest(t, "etcd://"+server.Address+"/web?timeout=1m&user-file="+path)
		_, err := registry.Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrDenied)
		require.NotContains(t, err.Error(), "wrong")
		require.NoError(t, os.WriteFile(path, []byte("web:webpw\n"), 0o600))
		announce(t, registry)

		root, err := clientv3.New(clientv3.Config{
			Endpoints: []string{server.Address}, Username: "root", Password: "rootpw", Logger: zap.NewNop(),
		})
		require.NoError(t, err)
		defer root.Close()
		_, err = root.UserChangePassword(t.Context(), "web", "newpw")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("web:newpw\n"), 0o600))
		announce(t, registry)
		_, err = root.UserChangePassword(t.Context(), "web", "webpw")
		require.NoError(t, err)
	})
	t.Run("nobody", func(t *testing.T) {
		err := Engine.Check(t.Context(), config(t, "etcd://"+server.Address+"/web?timeout=1m"))
		require.ErrorIs(t, err, discovery.ErrDenied)
		require.NoError(t, Engine.Check(t.Context(), config(t, "etcd://web:webpw@"+server.Address+"/web?timeout=1m")))
	})
}

func config(t testing.TB, url string) discovery.Config {
	t.Helper()
	_, config, err := discovery.NewEngines(Engine).Find(url)
	require.NoError(t, err)
	return config
}

func TestTLS(t *testing.T) {
	certificates, others := testservers.NewCertificates(t), testservers.NewCertificates(t)
	server := testservers.EmbeddedEtcdTLS(t, certificates)
	client := "&cert=" + certificates.ClientCert + "&key=" + certificates.ClientKey
	url := "etcds://" + server.Address + "/x?timeout=1m&ca="
	t.Run("right", func(t *testing.T) {
		announce(t, openForTest(t, url+certificates.CA+client))
		announce(t, openForTest(t, url+certificates.CA+client+"&server-name=server.test"))
	})
	for name, wrong := range map[string]struct{ url, say, hint string }{
		"other authority":       {url + others.CA + client, "unknown authority", "?ca=FILE"},
		"other name":            {url + certificates.CA + client + "&server-name=other.test", "other.test", "?server-name=NAME"},
		"no client certificate": {strings.Replace(url, "1m", "1h", 1) + certificates.CA, "wants a certificate", "?cert=FILE&key=FILE"},
		"no TLS":                {"etcd://" + server.Address + "/x?timeout=1h", "speaks TLS", "etcds://"},
		"no TLS there":          {"etcds://" + testservers.EmbeddedEtcd(t).Address + "/x?timeout=1s", "", " etcd://"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openForTest(t, wrong.url).Services(t.Context())
			require.ErrorIs(t, err, discovery.ErrUnavailable)
			require.ErrorContains(t, err, wrong.say)
			require.Contains(t, discovery.Hint(err), wrong.hint)
		})
	}
	t.Run("authority renewed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.pem")
		copyFile(t, path, others.CA)
		registry := openForTest(t, url+path+client)
		_, err := registry.Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		copyFile(t, path, certificates.CA)
		require.Eventually(t, func() bool {
			_, err := registry.Services(t.Context())
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	})
	t.Run("missing file", func(t *testing.T) {
		_, err := discovery.NewEngines(Engine).Open(context.Background(), url+"/nowhere/ca.pem")
		require.ErrorIs(t, err, discovery.ErrInvalid)
		require.ErrorContains(t, err, "/nowhere/ca.pem")
	})
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
}

// A call whose addresses all refuse ends at once, however much time it has, and one that is the first to find a
// server there again succeeds.
func TestRefused(t *testing.T) {
	t.Parallel()
	_, err := openForTest(t, "etcd://"+testservers.FreeAddress(t)+","+testservers.FreeAddress(t)+"/x?timeout=1h").Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, discovery.Hint(err), "endpoint health")

	server := testservers.EmbeddedEtcd(t)
	registry := openForTest(t, "etcd://root:pw@"+server.Address+"/x?timeout=1h")
	_, err = registry.Services(t.Context())
	require.NoError(t, err)
	server.Kill(t)
	for range 3 {
		_, err = registry.Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrUnavailable)
	}
	server.Start(t)
	_, err = registry.Services(t.Context())
	require.NoError(t, err)
}
