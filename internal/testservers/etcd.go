package testservers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/crypto/bcrypt"
)

// The short times of a test cluster, in milliseconds.
const (
	heartbeat = 50
	election  = 500
)

// embeddedVariable tells a test binary that it is an etcd, and which.
const embeddedVariable = "ENVHARNESS_TEST_EMBEDDED_ETCD"

// Etcd is one etcd server.
type Etcd struct {
	*Process
	Address string // host:port of its clients
	data    string
}

// Wipe kills the server and starts it again with no data.
func (e *Etcd) Wipe(t testing.TB) { t.Helper(); e.wiped(t, e.data) }

// Main runs the tests, or this test binary as the etcd that EmbeddedEtcd starts: so it can be killed and
// stopped as any process. A package that uses EmbeddedEtcd calls it from TestMain.
func Main(m interface{ Run() int }) {
	if text := os.Getenv(embeddedVariable); text != "" {
		if err := serveEtcd(text); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// embedded is what an embedded etcd is told.
type embedded struct {
	Directory, Listen, Peer string
	TLS                     *Certificates // for its clients, who then need one too
}

// EmbeddedEtcd starts the etcd that this module embeds, in a process of its own, with short times.
func EmbeddedEtcd(t testing.TB) *Etcd {
	t.Helper()
	address := FreeAddress(t)
	return startEmbedded(t, embedded{Listen: address}, nil, address)
}

// EmbeddedEtcdTLS is EmbeddedEtcd with TLS, for clients with a certificate of the same authority.
func EmbeddedEtcdTLS(t testing.TB, certificates Certificates) *Etcd {
	t.Helper()
	address := FreeAddress(t)
	return startEmbedded(t, embedded{Listen: address, TLS: &certificates}, nil, address)
}

// EmbeddedEtcdIn is EmbeddedEtcd within a namespace. Its Address is the near one; the far one has the same
// port.
func EmbeddedEtcdIn(t testing.TB, namespace *Namespace) *Etcd {
	t.Helper()
	const port = "2379"
	return startEmbedded(t, embedded{Listen: "0.0.0.0:" + port}, namespace, net.JoinHostPort(namespace.Near, port))
}

func startEmbedded(t testing.TB, e embedded, namespace *Namespace, address string) *Etcd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e.Directory, e.Peer = filepath.Join(t.TempDir(), "data"), FreeAddress(t)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	command := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), embeddedVariable+"="+string(text))
		if namespace != nil {
			cmd = namespace.Command(cmd)
		}
		return cmd
	}
	ready := healthy(address)
	if e.TLS != nil {
		ready = listening(address)
	}
	return &Etcd{StartProcess(t, "embedded etcd", command, ready), address, e.Directory}
}

// serveEtcd is the life of such a process; it ends by a signal.
func serveEtcd(text string) error {
	var e embedded
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	wal.SegmentSizeBytes = 1 << 20 // not 64 MB for each test
	config := embed.NewConfig()
	config.Dir = e.Directory
	config.TickMs, config.ElectionMs = heartbeat, election
	config.LogLevel = "error"
	config.BcryptCost = uint(bcrypt.MinCost) // a log-in costs seconds under the race detector
	client, peer := url.URL{Scheme: "http", Host: e.Listen}, url.URL{Scheme: "http", Host: e.Peer}
	if e.TLS != nil {
		client.Scheme = "https"
		config.ClientTLSInfo = transport.TLSInfo{
			CertFile: e.TLS.ServerCert, KeyFile: e.TLS.ServerKey, TrustedCAFile: e.TLS.CA, ClientCertAuth: true,
		}
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	return <-server.Err()
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
