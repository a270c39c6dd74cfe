package etcd2

import (
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	server := guardedEtcd(t)
	in := discovery.Instance{ID: "a", Service: "web", Host: "h", Ports: ports("http", 80)}
	file := filepath.Join(t.TempDir(), "user")
	require.NoError(t, os.WriteFile(file, []byte("web:wrong\n"), 0o600))
	registry := openForTest(t, "etcd2://"+server.Address+"/web?user-file="+file)
	_, err := registry.Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrDenied)
	require.NotEmpty(t, discovery.Hint(err))
	require.NotContains(t, err.Error(), "wrong")
	require.NoError(t, os.WriteFile(file, []byte("web:webpw\n"), 0o600))
	registration := register(t, registry, in, time.Second) // the file is read again
	require.NoError(t, registration.Close())

	elsewhere := openForTest(t, "etcd2://web:webpw@"+server.Address+"/elsewhere")
	_, err = elsewhere.Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrDenied)
	require.NotContains(t, err.Error(), "webpw")
	engines := discovery.NewEngines(Engine)
	require.NoError(t, engines.Check(t.Context(), "etcd2://web:webpw@"+server.Address+"/web"))
	require.ErrorIs(t, engines.Check(t.Context(), "etcd2://"+server.Address+"/web"), discovery.ErrDenied)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	certificates := testservers.NewCertificates(t)
	address := testservers.TLSFront(t, server.Address, certificates)
	engines := discovery.NewEngines(Engine)
	query := "?timeout=20s&ca=" + certificates.CA + "&cert=" + certificates.ClientCert + "&key=" + certificates.ClientKey
	require.NoError(t, engines.Check(t.Context(), "etcd2s://"+address+"/"+query))
	for _, wrong := range []string{
		"etcd2s://" + address + "/" + query + "&server-name=other.example",
		"etcd2s://" + address + "/?timeout=20s",
		"etcd2://" + address + "/?timeout=20s",
	} {
		err := engines.Check(t.Context(), wrong)
		require.ErrorIs(t, err, discovery.ErrUnavailable, wrong)
		require.ErrorContains(t, err, address)
	}
	err := engines.Check(t.Context(), "etcd2s://"+address+"/?timeout=1h&ca="+certificates.CA)
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "wants a certificate")
	require.Contains(t, discovery.Hint(err), "?cert=FILE&key=FILE")
}

// TestScalingoEnvironment: with no host in the URL, its own variables say where and how.
func TestScalingoEnvironment(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	certificates := testservers.NewCertificates(t)
	secure := testservers.TLSFront(t, server.Address, certificates)
	host, port, err := net.SplitHostPort(server.Address)
	require.NoError(t, err)
	encoded := func(path string) string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(data)
	}
	files := map[string]string{"ETCD_CACERT": certificates.CA, "ETCD_TLS_CERT": certificates.ClientCert, "ETCD_TLS_KEY": certificates.ClientKey}
	inMemory := map[string]string{"ETCD_TLS_INMEMORY": "true"}
	for name, path := range files {
		inMemory[name] = encoded(path)
	}
	with := func(some map[string]string, name, value string) map[string]string {
		all := map[string]string{name: value}
		for k, v := range some {
			all[k] = v
		}
		return all
	}
	check := func(url string, environment map[string]string) error {
		getenv := func(name string) string { return environment[name] }
		return discovery.NewEngines(Engine).Check(t.Context(), url, discovery.WithGetenv(getenv))
	}
	const bare = "etcd2://?layout=scalingo&timeout=20s"
	dead := testservers.FreeAddress(t)
	for _, good := range []map[string]string{
		{"ETCD_HOSTS": "http://" + dead + ",http://" + server.Address, "ETCD_HOST": "http://" + dead},
		{"ETCD_HOST": "http://" + server.Address + "/", "ETCD_1_PORT_2379_TCP_ADDR": "192.0.2.1"},
		{"ETCD_1_PORT_2379_TCP_ADDR": host, "ETCD_1_PORT_2379_TCP_PORT": port},
		with(files, "ETCD_HOST", "https://"+secure),
		with(files, "ETCD_HOST", "http://"+secure),
		with(inMemory, "ETCD_HOSTS", "http://"+secure),
	} {
		require.NoError(t, check(bare, good), "%v", good["ETCD_HOSTS"]+good["ETCD_HOST"])
	}
	require.ErrorIs(t, check(bare, map[string]string{"ETCD_HOST": "https://" + secure}), discovery.ErrUnavailable)
	for _, bad := range []map[string]string{
		{"ETCD_HOSTS": "ftp://" + server.Address}, {"ETCD_HOST": "http://"}, {"ETCD_HOST": "http://h:none"},
		with(map[string]string{"ETCD_TLS_INMEMORY": "true", "ETCD_TLS_CERT": "x", "ETCD_TLS_KEY": "x"}, "ETCD_CACERT", "?"),
		with(map[string]string{"ETCD_TLS_CERT": "/none", "ETCD_TLS_KEY": "/none"}, "ETCD_CACERT", "/none"),
	} {
		require.ErrorIs(t, check(bare, bad), discovery.ErrInvalid, "%v", bad)
	}
	// The URL's host goes first, and other layouts do not look at these variables.
	require.NoError(t, check("etcd2://"+server.Address+"?layout=scalingo", map[string]string{"ETCD_HOST": "http://" + dead}))

	// HOSTNAME is the private host of who names none.
	registry := openForTest(t, bare, discovery.WithGetenv(func(name string) string {
		return map[string]string{"ETCD_HOST": "http://" + server.Address, "HOSTNAME": "node-7"}[name]
	}))
	registration := register(t, registry, discovery.Instance{Service: "s", Host: "public.dev", Public: true, Ports: ports("http", 80)}, 0)
	require.Regexp(t, `-node-7$`, registration.ID())
}
