package consul

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

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
	require.NoError(t, check("consul:///p?timeout=20s", keys))
	query := url.Values{"ca": {certificates.CA}, "cert": {certificates.ClientCert}, "key": {certificates.ClientKey}, "timeout": {"20s"}}
	require.NoError(t, check("consuls://"+secure+"/p?"+query.Encode(), nil))
	require.NoError(t, check("consul://"+server.Address, map[string]string{"CONSUL_HTTP_ADDR": testservers.FreeAddress(t)}))
	query.Set("server-name", "other.example")
	for _, wrong := range []string{
		"consuls://" + secure + "/p?" + query.Encode(),
		"consul://" + secure + "/p?timeout=20s",
	} {
		require.Error(t, check(wrong, nil), wrong)
	}
	err := check("consuls://"+secure+"/p?timeout=1h&ca="+certificates.CA, nil)
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "wants a certificate")
	require.Contains(t, discovery.Hint(err), "?cert=FILE&key=FILE")
	delete(keys, "CONSUL_CACERT")
	keys["CONSUL_CAPATH"] = filepath.Dir(copyFile(t, certificates.CA, filepath.Join(t.TempDir(), "authority.pem")))
	require.NoError(t, check("consul:///p?timeout=20s", keys))
	keys["CONSUL_CAPATH"] = t.TempDir()
	require.ErrorIs(t, check("consul:///p?timeout=20s", keys), discovery.ErrUnavailable)
	keys["CONSUL_CAPATH"] = certificates.CA // is no directory
	require.ErrorIs(t, check("consul:///p?timeout=20s", keys), discovery.ErrInvalid)
	require.ErrorIs(t, check("consul://", map[string]string{"CONSUL_HTTP_ADDR": "ftp://h"}), discovery.ErrInvalid)
	require.ErrorIs(t, check("consul://", map[string]string{"CONSUL_HTTP_SSL": "perhaps"}), discovery.ErrInvalid)
	for _, wrong := range []string{"consul://a,b", "consul://a/p?odd=1", "consul://a/p?deregister-after=5s", "consul://a/a%25b", "consul://a/p?enable-tag-override=x"} {
		require.ErrorIs(t, check(wrong, nil), discovery.ErrInvalid, wrong)
	}
}

// Files of TLS that change count from the next connection on.
func TestTLSFilesChange(t *testing.T) {
	t.Parallel()
	right, wrong := testservers.NewCertificates(t), testservers.NewCertificates(t)
	_, secure := testservers.ConsulTLS(t, right)
	directory := t.TempDir()
	take := func(from testservers.Certificates) url.Values {
		return url.Values{
			"ca":      {copyFile(t, from.CA, filepath.Join(directory, "ca.pem"))},
			"cert":    {copyFile(t, from.ClientCert, filepath.Join(directory, "cert.pem"))},
			"key":     {copyFile(t, from.ClientKey, filepath.Join(directory, "key.pem"))},
			"timeout": {"1m"},
		}
	}
	values := openForTest(t, "consuls://"+secure+"/p?"+take(wrong).Encode()).(discovery.Values)
	err := second(values.Get(t.Context(), "NAME"))
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "certificate")
	take(right)
	require.ErrorIs(t, second(values.Get(t.Context(), "NAME")), discovery.ErrNotFound)
}

// copyFile gives the path of the copy.
func copyFile(t testing.TB, from, to string) string {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
	return to
}

// Another datacenter is read through the agent here; what ends with its process cannot be there.
func TestDatacenter(t *testing.T) {
	t.Parallel()
	wan := func() (settings map[string]any, address string) {
		port := testservers.FreePort(t)
		return map[string]any{"ports": map[string]int{"serf_wan": port}}, fmt.Sprintf("127.0.0.1:%d", port)
	}
	settings, meeting := wan()
	here := testservers.ForgetfulConsul(t, settings)
	settings, _ = wan()
	settings["datacenter"], settings["node_name"], settings["retry_join_wan"] = "dc2", "far", []string{meeting}
	there := testservers.ForgetfulConsul(t, settings)

	announce(t, openForTest(t, "consul://"+here.Address+"/?datacenter=dc1"), instance("web", "web-here", 1), 0)
	announce(t, openForTest(t, "consul://"+there.Address), instance("web", "web-there", 1), 0)
	far := openForTest(t, "consul://"+here.Address+"/?datacenter=dc2")
	require.EventuallyWithT(t, func(c *assert.CollectT) { // the datacenters have met
		snapshot, err := far.Instances(t.Context(), "web", discovery.Query{})
		require.NoError(c, err)
		require.Len(c, snapshot.Instances, 1)
		require.Equal(c, "web-there", snapshot.Instances[0].ID)
	}, patience, 50*time.Millisecond)

	require.NoError(t, far.(discovery.Values).Put(t.Context(), "NAME", []byte("far"), 0))
	value, err := openForTest(t, "consul://"+there.Address).(discovery.Values).Get(t.Context(), "NAME")
	require.NoError(t, err)
	require.Equal(t, "far", string(value))
	err = far.(discovery.Values).Put(t.Context(), "SHORT", []byte("far"), time.Minute)
	require.ErrorIs(t, err, discovery.ErrUnsupported)
	require.ErrorIs(t, second(far.(discovery.Elector).Campaign(t.Context(), "NAME", 0)), discovery.ErrUnsupported)
	for _, layout := range []string{"native", "containerpilot"} {
		registry := openForTest(t, "consul://"+here.Address+"/?datacenter=dc2&layout="+layout)
		require.Equal(t, []string{"web-there"}, ids(t, registry, "web", discovery.Query{}))
		registration, err := registry.Register(t.Context(), instance("db", "db-1", 1), 0)
		require.NoError(t, err)
		awaitEnd(t, registration.Done(), "it goes on, though a service registers at its agent alone")
		require.ErrorIs(t, registration.Err(), discovery.ErrUnsupported)
		require.ErrorContains(t, registration.Err(), `"dc1"`)
	}
	nowhere := openForTest(t, "consul://"+here.Address+"/?datacenter=dc3")
	require.ErrorIs(t, second(nowhere.Services(t.Context())), discovery.ErrUnavailable)
}
