package testservers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The short times of a test cluster, in milliseconds.
const (
	heartbeat = 50
	election  = 500
)

// embeddedEtcd builds the server of EmbeddedEtcd, once in a process.
var embeddedEtcd = sync.OnceValues(func() (string, error) {
	return build("embeddedetcd", "internal/testservers/embeddedetcd")
})

// Etcd is one etcd server.
type Etcd struct {
	*Process
	Address string // host:port of its clients
	data    string
}

// Wipe kills the server and starts it again with no data.
func (e *Etcd) Wipe(t testing.TB) { t.Helper(); e.wiped(t, e.data) }

// EmbeddedEtcd starts the etcd that this module embeds, in a process of its own, with short times and with further
// arguments of embeddedetcd's.
func EmbeddedEtcd(t testing.TB, arguments ...string) *Etcd {
	t.Helper()
	address := FreeAddress(t)
	return startEmbedded(t, nil, address, healthy(address), append([]string{"-listen", address}, arguments...)...)
}

// EmbeddedEtcdTLS is EmbeddedEtcd with TLS, for clients with a certificate of the same authority.
func EmbeddedEtcdTLS(t testing.TB, certificates Certificates) *Etcd {
	t.Helper()
	address := FreeAddress(t)
	return startEmbedded(t, nil, address, listening(address), "-listen", address,
		"-cert", certificates.ServerCert, "-key", certificates.ServerKey, "-ca", certificates.CA)
}

// EmbeddedEtcdIn is EmbeddedEtcd within a namespace. Its Address is the near one; the far one has the same
// port.
func EmbeddedEtcdIn(t testing.TB, namespace *Namespace) *Etcd {
	t.Helper()
	const port = "2379"
	address := net.JoinHostPort(namespace.Near, port)
	return startEmbedded(t, namespace, address, healthy(address), "-listen", "0.0.0.0:"+port)
}

func startEmbedded(t testing.TB, namespace *Namespace, address string, ready func() error, arguments ...string) *Etcd {
	t.Helper()
	Slow(t, "embedded etcd")
	binary, err := embeddedEtcd()
	if err != nil {
		t.Fatalf("cannot build the embedded etcd: %v", err)
	}
	data := filepath.Join(t.TempDir(), "data")
	all := append([]string{"-data", data, "-peer", FreeAddress(t)}, arguments...)
	command := func() *exec.Cmd {
		cmd := exec.Command(binary, all...)
		if namespace != nil {
			cmd = namespace.Command(cmd)
		}
		return cmd
	}
	return &Etcd{StartProcess(t, "embedded etcd", command, ready), address, data}
}

// DebianEtcd starts the etcd of Debian's package etcd-server, which is 3.4, with further arguments such
// as --enable-v2.
func DebianEtcd(t testing.TB, arguments ...string) *Etcd {
	t.Helper()
	binary, err := exec.LookPath("etcd")
	if err != nil {
		Missing(t, "etcd 3.4", "apt-get install etcd-server etcd-client")
	}
	data, client, peer := filepath.Join(t.TempDir(), "data"), FreeAddress(t), FreeAddress(t)
	all := append([]string{
		"--name", "default",
		"--data-dir", data,
		"--listen-client-urls", "http://" + client,
		"--advertise-client-urls", "http://" + client,
		"--listen-peer-urls", "http://" + peer,
		"--initial-advertise-peer-urls", "http://" + peer,
		"--initial-cluster", "default=http://" + peer,
		"--heartbeat-interval", fmt.Sprint(heartbeat),
		"--election-timeout", fmt.Sprint(election),
		"--log-level", "error",
	}, arguments...)
	command := func() *exec.Cmd { return exec.Command(binary, all...) }
	return &Etcd{StartProcess(t, "etcd 3.4", command, healthy(client)), client, data}
}

// noKeepAlive leaves no connection behind.
var noKeepAlive = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// healthy asks an etcd whether it has a leader.
func healthy(address string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
		if err != nil {
			return err
		}
		response, err := noKeepAlive.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	}
}

// listening asks whether somebody does.
func listening(address string) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	}
}
