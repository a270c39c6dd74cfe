package testservers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
)

// coreDNSVersion is what scripts/build-servers builds: tools/coredns/go.mod says so, too.
const coreDNSVersion = "v1.15.0"

// CoreDNS is a DNS server.
type CoreDNS struct {
	*Process
	Address string // host:port by UDP and TCP
}

// ServeZoneAt starts a CoreDNS that serves a zone from a file in the format of RFC 1035.
func ServeZoneAt(t testing.TB, address, zone, text string) *CoreDNS {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return StartCoreDNS(t, address, zone, "file "+file)
}

// ServeSkyDNS starts a CoreDNS that serves a zone from an etcd. Its answers count for a second, so that tests are quick.
func ServeSkyDNS(t testing.TB, zone, etcd string) *CoreDNS {
	t.Helper()
	return StartCoreDNS(t, FreeAddress(t), zone, "rewrite ttl regex .* 1", "etcd {\nendpoint http://"+etcd+"\n}")
}

// StartCoreDNS starts a CoreDNS that serves a zone at an address by plugins, as they stand in a Corefile.
func StartCoreDNS(t testing.TB, address, zone string, plugins ...string) *CoreDNS {
	t.Helper()
	binary := coreDNSBinary(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	corefile := filepath.Join(t.TempDir(), "Corefile")
	text := fmt.Sprintf("%s:%s {\nbind %s\nerrors\n%s\n}\n", zone, port, host, strings.Join(plugins, "\n"))
	if err := os.WriteFile(corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func() *exec.Cmd { return exec.Command(binary, "-conf", corefile) }
	return &CoreDNS{StartProcess(t, "CoreDNS", command, answering(address)), address}
}

func coreDNSBinary(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "envharness", "coredns-"+coreDNSVersion)
	if _, err := os.Stat(binary); err != nil {
		Missing(t, "CoreDNS "+coreDNSVersion, "scripts/build-servers")
	}
	return binary
}

// answering asks a DNS server anything, by UDP and by TCP.
func answering(address string) func() error {
	return func() error {
		for _, network := range []string{"udp", "tcp"} {
			client := miekg.Client{Net: network, Timeout: 2 * time.Second}
			if _, _, err := client.Exchange(new(miekg.Msg).SetQuestion("ready.", miekg.TypeSOA), address); err != nil {
				return err
			}
		}
		return nil
	}
}
