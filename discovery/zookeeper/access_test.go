package zookeeper

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// patience is how long a thing that must come may take on a busy machine.
const patience = 90 * time.Second

func openForTest(t *testing.T, url string, settings ...discovery.Setting) *driver.Registry {
	t.Helper()
	r, err := discovery.NewEngines(Engine).Open(t.Context(), url, settings...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r.(*driver.Registry)
}

// backendForTest is openForTest for who looks at sessions.
func backendForTest(t *testing.T, url string) *backend {
	t.Helper()
	_, config, err := discovery.NewEngines(Engine).Find(url)
	require.NoError(t, err)
	b, err := open(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.registry.Close()) })
	return b
}

func web(id string, port int) discovery.Instance {
	return discovery.Instance{
		ID: id, Service: "web", Host: "10.0.0.5", Ports: map[string]discovery.Port{"http": {Number: port, Protocol: "tcp"}},
	}
}

func register(t *testing.T, r discovery.Registry, in discovery.Instance) discovery.Registration {
	t.Helper()
	registration, err := r.Register(t.Context(), in, 6*time.Second)
	require.NoError(t, err)
	await(t, registration)
	return registration
}

func await(t *testing.T, registration discovery.Registration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, registration.WaitReady(ctx))
}

// testLogin: a wrong password is a clear error, that tells nothing of it; the user file is read again.
func testLogin(t *testing.T, server *testservers.ZooKeeper) {
	guard(t, server.Address, "/login/services/web", "/login/environment")
	file := filepath.Join(t.TempDir(), "user")
	require.NoError(t, os.WriteFile(file, []byte("web:wrong-canary\n"), 0o600))
	r := openForTest(t, "zk://"+server.Address+"/login?user-file="+file)
	_, err := r.Instances(t.Context(), "web", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrDenied)
	require.NotContains(t, err.Error(), "wrong-canary")
	require.Contains(t, discovery.Hint(err), "user-file")
	registration, err := r.Register(t.Context(), web("a", 80), 0)
	require.NoError(t, err)
	require.ErrorIs(t, registration.WaitReady(t.Context()), discovery.ErrDenied)
	require.ErrorIs(t, r.Put(t.Context(), "NAME", nil, 0), discovery.ErrDenied)
	require.ErrorIs(t, r.Put(t.Context(), "NAME", nil, time.Second), discovery.ErrDenied)
	_, err = r.Watch(t.Context(), "web", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrDenied)
	_, err = r.WatchValue(t.Context(), "NAME")
	require.NoError(t, err, "that a missing node is missing, ZooKeeper tells everybody")

	require.NoError(t, os.WriteFile(file, []byte("web:webpw\n"), 0o600))
	_, err = r.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	register(t, r, web("a", 80))
	require.NoError(t, r.Put(t.Context(), "NAME", []byte("1"), time.Minute))

	other := newOtherClient(t, server.Address)
	require.NoError(t, other.conn.AddAuth("digest", []byte("web:webpw")))
	other.put(t, "/login/environment/NAME", nil)
	_, err = other.conn.SetACL("/login/environment/NAME", zk.DigestACL(zk.PermAll, "web", "newpw"), -1)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("web:newpw\n"), 0o600))
	errs := make(chan error, 50)
	for range cap(errs) { // of which one logs in anew, and none fails for being beside it
		go func() {
			_, err := r.Get(t.Context(), "NAME")
			errs <- err
		}()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}

	engines := discovery.NewEngines(Engine)
	require.NoError(t, engines.Check(t.Context(), "zk://web:webpw@"+server.Address+"/login"))
	require.ErrorIs(t, engines.Check(t.Context(), "zk://"+server.Address+"/login"), discovery.ErrDenied)
}

// testACL: who may use what was written.
func testACL(t *testing.T, server *testservers.ZooKeeper) {
	for word, want := range map[string]struct{ read, write error }{
		"":             {discovery.ErrDenied, discovery.ErrDenied},
		"?acl=creator": {discovery.ErrDenied, discovery.ErrDenied},
		"?acl=read":    {nil, discovery.ErrDenied},
		"?acl=open":    {nil, nil},
	} {
		prefix := "/acl" + word[min(len(word), 5):]
		owner := openForTest(t, "zk://web:webpw@"+server.Address+prefix+word)
		register(t, owner, web("a", 80))
		require.NoError(t, owner.Put(t.Context(), "NAME", []byte("1"), 0))
		for _, user := range []string{"", "other:otherpw@"} {
			other := openForTest(t, "zk://"+user+server.Address+prefix)
			_, err := other.Instances(t.Context(), "web", discovery.Query{})
			require.ErrorIs(t, err, want.read, word)
			_, err = other.Get(t.Context(), "NAME")
			require.ErrorIs(t, err, want.read, word)
			require.ErrorIs(t, other.Put(t.Context(), "NAME", []byte("2"), 0), want.write, word)
		}
		same := openForTest(t, "zk://web:webpw@"+server.Address+prefix)
		register(t, same, web("a", 81)) // takes it over
	}
	for _, wrong := range []string{"zk://h/p?acl=odd", "zk://h/p?acl=creator", "zk://h/p?acl=read"} {
		_, err := discovery.NewEngines(Engine).Open(t.Context(), wrong, discovery.WithGetenv(func(string) string { return "" }))
		require.ErrorIs(t, err, discovery.ErrInvalid, wrong)
	}
}

func testTLS(t *testing.T, server *testservers.ZooKeeper) {
	certificates := testservers.NewCertificates(t)
	address := testservers.TLSFront(t, server.Address, certificates)
	engines := discovery.NewEngines(Engine)
	query := "?timeout=20s&ca=" + certificates.CA + "&cert=" + certificates.ClientCert + "&key=" + certificates.ClientKey
	soon := strings.Replace(query, "20s", "2s", 1) // for a server that says nothing to TLS
	require.NoError(t, engines.Check(t.Context(), "zks://"+address+"/"+query))
	require.NoError(t, engines.Check(t.Context(), "zks://"+address+"/"+query+"&server-name=server.test"))
	register(t, openForTest(t, "zks://"+address+"/"+query), web("a", 80))
	for _, wrong := range []string{
		"zks://" + address + "/" + query + "&server-name=other.example",
		"zks://" + address + "/?timeout=20s",
		"zks://" + server.Address + "/" + soon,
	} {
		err := engines.Check(t.Context(), wrong)
		require.ErrorIs(t, err, discovery.ErrUnavailable, wrong)
		require.ErrorContains(t, err, "127.0.0.1:")
		require.NotEmpty(t, discovery.Hint(err))
	}
	err := engines.Check(t.Context(), "zks://"+address+"/?timeout=1h&ca="+certificates.CA)
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "wants a certificate")
	require.Contains(t, discovery.Hint(err), "?cert=FILE&key=FILE")
	err = engines.Check(t.Context(), "zk://"+address+"/?timeout=1h")
	require.ErrorContains(t, err, "speaks TLS")
	require.Contains(t, discovery.Hint(err), "zks://")
	err = engines.Check(t.Context(), "zks://"+server.Address+"/"+soon)
	require.Contains(t, discovery.Hint(err), "zk://")
	_, err = engines.Open(t.Context(), "zks://"+address+"/?ca=/none")
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

// A call whose servers all refuse ends at once, however much time it has; a registration goes on.
func TestRefused(t *testing.T) {
	t.Parallel()
	_, err := openForTest(t, "zk://"+testservers.FreeAddress(t)+","+testservers.FreeAddress(t)+"/x?timeout=1h").Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, discovery.Hint(err), "echo srvr")

	server := testservers.DebianZooKeeper(t)
	registry := openForTest(t, "zk://"+server.Address+"/x?timeout=1h")
	registration := register(t, registry, web("a", 80))
	server.Kill(t)
	for range 3 {
		_, err = registry.Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		err = registry.Put(t.Context(), "A", nil, 10*time.Second)
		require.ErrorIs(t, err, discovery.ErrUnavailable)
	}
	server.Start(t)
	_, err = registry.Services(t.Context())
	require.NoError(t, err)
	require.NoError(t, registration.Err())
}

// testPrefix: it is a root of its own, made when it is not there, and whoever is let in only there gets in.
func testPrefix(t *testing.T, server *testservers.ZooKeeper) {
	deep, beside := openForTest(t, "zk://"+server.Address+"/a/b/c"), openForTest(t, "zk://"+server.Address+"/a/b")
	register(t, deep, web("a", 80))
	other := newOtherClient(t, server.Address)
	_, stat, err := other.conn.Get("/a/b/c/services/web/a")
	require.NoError(t, err)
	require.NotZero(t, stat.EphemeralOwner)
	services, err := beside.Services(t.Context())
	require.NoError(t, err)
	require.Empty(t, services)

	for _, query := range []string{"", "?layout=lighthouse"} { // of which there is nothing yet
		nowhere := openForTest(t, "zk://"+server.Address+"/no/where"+query)
		snapshots, err := nowhere.Watch(t.Context(), "web", discovery.Query{})
		require.NoError(t, err)
		registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return !s.Stale && s.Never && len(s.Instances) == 0 })
		snapshot, err := nowhere.Instances(t.Context(), "web", discovery.Query{})
		require.NoError(t, err)
		_, err = snapshot.First()
		require.ErrorIs(t, err, discovery.ErrNotFound)
		services, err := nowhere.Services(t.Context())
		require.NoError(t, err)
		require.Empty(t, services)
		_, err = nowhere.Get(t.Context(), "NAME")
		require.ErrorIs(t, err, discovery.ErrNotFound)
		names, err := nowhere.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, names)
		exists, _, err := other.conn.Exists("/no")
		require.NoError(t, err)
		require.False(t, exists, "who reads makes no nodes")
	}
	nowhere := openForTest(t, "zk://"+server.Address+"/no/where")
	values, err := nowhere.WatchValue(t.Context(), "NAME")
	require.NoError(t, err)
	require.False(t, (<-values).Found)
	snapshots, err := nowhere.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return s.Never })
	register(t, nowhere, web("a", 80))
	registrytest.Await(t, snapshots, hasHost("10.0.0.5"))
	require.NoError(t, nowhere.Put(t.Context(), "NAME", []byte("1"), 0))
	require.Equal(t, "1", string((<-values).Data))

	other.put(t, "/locked/team", nil)
	_, err = other.conn.SetACL("/locked", zk.DigestACL(zk.PermAll, "admin", "adminpw"), -1)
	require.NoError(t, err)
	team := openForTest(t, "zk://"+server.Address+"/locked/team")
	register(t, team, web("a", 80))
	require.NoError(t, team.Put(t.Context(), "NAME", []byte("1"), 0))

	for _, wrong := range []string{"/a//b", "/a/../b", "/a/./b", "/zookeeper/x", "/a%00", "/a%0Ab", "/%FF"} {
		_, err := discovery.NewEngines(Engine).Open(t.Context(), "zk://h"+wrong)
		require.ErrorIs(t, err, discovery.ErrInvalid, wrong)
	}
}
