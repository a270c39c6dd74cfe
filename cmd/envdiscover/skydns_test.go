package main

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestSkyDNS: what is announced by the layout skydns is answered by CoreDNS, to any client of DNS, until it is withdrawn
// or its process is dead for its TTL. The engine dns finds it, too.
func TestSkyDNS(t *testing.T) {
	if _, err := exec.LookPath("dig"); err != nil {
		testservers.Missing(t, "dig", "apt-get install bind9-dnsutils")
	}
	store := testservers.EmbeddedEtcd(t)
	server := testservers.ServeSkyDNS(t, "cluster.local", store.Address)
	host, port, err := net.SplitHostPort(server.Address)
	require.NoError(t, err)
	dig := func(kind, name string) string {
		out, err := exec.Command("dig", "@"+host, "-p", port, "+short", "+time=10", kind, name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	gone := func() bool {
		return dig("SRV", "_http._tcp.web.cluster.local") == "" && dig("A", "web.cluster.local") == "" && dig("AAAA", "web.cluster.local") == ""
	}
	register := func(ttl string, args ...string) *exec.Cmd {
		socket, next := notifications(t)
		cmd, _ := held(t, "etcd://"+store.Address+"/cluster.local?layout=skydns", socket,
			append([]string{"register", "web", "--ttl", ttl, "--port", "http=8080", "--port", "metrics=9090"}, args...)...)
		require.Equal(t, "READY=1", next())
		return cmd
	}

	first := register("60s", "--id", "a", "--host", "10.0.0.5")
	require.Equal(t, "10 100 8080 a.web.cluster.local.", dig("SRV", "_http._tcp.web.cluster.local"))
	require.Equal(t, "10 100 9090 a.web.cluster.local.", dig("SRV", "_metrics._tcp.web.cluster.local"))
	require.Equal(t, "10.0.0.5", dig("A", "web.cluster.local"))
	require.Equal(t, "10.0.0.5", dig("A", "a.web.cluster.local"))
	url := "dns://" + server.Address + "/cluster.local?port=http,metrics"
	require.Equal(t, "http://10.0.0.5:8080/\n", run(t, url, "url", "web", "--path", "/"))
	require.Equal(t, "metrics://10.0.0.5:9090\n", run(t, url, "url", "web", "--scheme", "metrics"))

	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.NoError(t, first.Wait())
	require.True(t, gone(), "it was withdrawn")

	second := register("6s", "--id", "b", "--host", "fd00::5")
	require.Equal(t, "fd00::5", dig("AAAA", "b.web.cluster.local"))
	require.Equal(t, "http://[fd00::5]:8080\n", run(t, url, "url", "web"))
	require.NoError(t, second.Process.Kill())
	_ = second.Wait()
	require.Eventually(t, gone, patience, 100*time.Millisecond, "nobody renews it")

	out, err := envdiscover(url, "register", "web", "--port", "80").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "DNS is read only")
	require.Contains(t, string(out), "layout=skydns")
	require.Regexp(t, `reached     yes\nread        yes\nwrite       never.*\nround trip  [0-9.]+ ms\n$`, run(t, url, "check", "registry"))
	out, err = envdiscover(url, "url", "web").CombinedOutput()
	require.Equal(t, exitNothing, err.(*exec.ExitError).ExitCode(), "%s", out)
}
