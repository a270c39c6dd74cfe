package examples_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/envharness/envharness/internal/testservers"
)

// soa is what the zones begin with.
const soa = "$TTL 1\n@ IN SOA a b 1 60 60 60 1\n@ IN NS a\na IN A 127.0.0.1\n"

// TestDNS runs dns/environment with the URLs of dns/kubernetes.yaml and dns/compose.yaml, and with the resolv.conf and
// the records that an application has there.
func TestDNS(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "port 53", "run as root")
	}
	for _, c := range []struct {
		name, url, zone, records, system, want string
	}{
		{
			name:    "kubernetes",
			url:     urlOfPod(t),
			zone:    "default.svc.cluster.local",
			records: "_postgresql._tcp.db IN SRV 0 50 5432 db-0.db\ndb-0.db IN A 10.244.0.7\ndb IN A 10.244.0.7\n",
			system:  "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver SERVER\noptions ndots:5\n",
			want:    "postgresql://10.244.0.7:5432/app\n",
		},
		{
			name:    "compose",
			url:     urlOfCompose(t),
			zone:    ".",
			records: "db. IN A 172.18.0.2\n",
			system:  "nameserver SERVER\noptions ndots:0\n",
			want:    "postgresql://172.18.0.2:5432/app\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
			testservers.ServeZoneAt(t, server+":53", c.zone, soa+c.records)
			system := filepath.Join(t.TempDir(), "resolv.conf")
			require.NoError(t, os.WriteFile(system, []byte(strings.Replace(c.system, "SERVER", server, 1)), 0o644))
			words := append(unshare(t, "--mount"), "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, system,
				envharness, "--environment", dnsEnvironment(t), "--", "sh", "-c", `echo "$DATABASE_URL"`)
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ENVDISCOVER_URL=" + c.url}
			p := startHarness(t, cmd)
			require.NoError(t, p.wait(t), p.stderr.String())
			require.Equal(t, c.want, p.stdout.String(), p.stderr.String())
		})
	}
}

// dnsEnvironment copies dns/environment, with this interpreter for /usr/bin/envdiscover.
func dnsEnvironment(t *testing.T) string {
	dir := t.TempDir()
	text, err := os.ReadFile("dns/environment/DATABASE_URL")
	require.NoError(t, err)
	text = bytes.Replace(text, []byte("#!/usr/bin/envdiscover"), []byte("#!"+envdiscover), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "DATABASE_URL"), text, 0o755))
	return dir
}

func urlOfPod(t *testing.T) string {
	text, err := os.ReadFile("dns/kubernetes.yaml")
	require.NoError(t, err)
	_, document, found := strings.Cut(string(text), "\n---\n")
	require.True(t, found)
	var p pod
	require.NoError(t, yaml.Unmarshal([]byte(document), &p))
	require.Equal(t, "ENVDISCOVER_URL", p.Spec.Containers[0].Env[0].Name)
	return p.Spec.Containers[0].Env[0].Value
}

func urlOfCompose(t *testing.T) string {
	text, err := os.ReadFile("dns/compose.yaml")
	require.NoError(t, err)
	var file struct {
		Services map[string]struct{ Environment map[string]string }
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	return file.Services["shop"].Environment["ENVDISCOVER_URL"]
}
