package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

func TestBridgeNames(t *testing.T) {
	b := &bridges{named: []string{"mine"}}
	for name, is := range map[string]bool{
		"docker0": true, "br-0123456789ab": true, "mine": true,
		"docker1": false, "br-0123456789a": false, "br-0123456789abc": false, "br-0123456789aX": false,
		"br-lan": false, "virbr0": false, "lxdbr0": false, "eth0": false, "br0": false, "": false,
	} {
		require.Equal(t, is, b.isDocker(name), name)
	}
}

// TestSubnet: a peer that came in by a bridge and is not of its subnet is not answered.
func TestSubnet(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	own := &subnetListener{listener, netip.MustParsePrefix("127.0.0.8/30")}
	defer own.Close()
	accepted := make(chan string, 2)
	go func() {
		for conn, err := own.Accept(); err == nil; conn, err = own.Accept() {
			accepted <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
		}
	}()
	for _, from := range []string{"127.0.0.1", "127.0.0.9"} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		if from == "127.0.0.1" {
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err)
		}
	}
	require.Equal(t, "127.0.0.9", <-accepted)
}

func TestTooManyConnections(t *testing.T) {
	c := &connections{most: 5, each: 3, byPeer: map[string]int{}}
	for range 3 {
		require.True(t, c.enter("a"))
	}
	require.False(t, c.enter("a"))
	require.True(t, c.enter("b"))
	require.True(t, c.enter("c"))
	require.False(t, c.enter("d"))
	c.leave("a")
	require.True(t, c.enter("d"))
	require.Equal(t, 5, c.count())
}

func TestPeers(t *testing.T) {
	for remote, peer := range map[string]string{
		"10.0.0.5:1234":            "10.0.0.5",
		"[::ffff:10.0.0.5]:1234":   "10.0.0.5",
		"[2001:db8:1:2:3::4]:1234": "2001:db8:1:2::/64",
		"[::1]:1234":               "loopback",
		"127.0.0.1:1":              "loopback",
		"127.254.3.2:1":            "loopback",
		"[::ffff:127.9.9.9]:1":     "loopback",
		"[fe80::1%eth0]:1":         "fe80::/64",
	} {
		address := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(remote))
		require.Equal(t, peer, peerOf(address), remote)
	}
}

func FuzzPeers(f *testing.F) {
	for _, remote := range []string{"10.0.0.5:1", "[::1]:2", "[fe80::1%eth0]:3", "@", "", "loopback"} {
		f.Add(remote)
	}
	f.Fuzz(func(t *testing.T, remote string) {
		end, err := netip.ParseAddrPort(remote)
		loopback := err == nil && end.Addr().Unmap().IsLoopback()
		require.Equal(t, loopback, peerOf(&net.UnixAddr{Name: remote}) == loopbackPeer) // its text is the name
	})
}

// opened listens and tells what its handler is told of clients.
func opened(t *testing.T, options Options) (l *Listeners, client func(*http.Client, string) Client) {
	t.Helper()
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	l, err := Open(options)
	require.NoError(t, err)
	seen := make(chan Client, 1)
	server := &http.Server{ConnContext: ConnContext, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- *ClientOf(r.Context())
	})}
	l.Serve(server, func(err error) { t.Error(err) })
	t.Cleanup(func() { l.Close(); server.Close() })
	return l, func(client *http.Client, url string) Client {
		t.Helper()
		response, err := client.Get(url)
		require.NoError(t, err)
		response.Body.Close()
		return <-seen
	}
}

func TestClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, client := opened(t, Options{Listen: []string{"127.0.0.1:0", "unix:" + path}})
	require.Equal(t, Client{Peer: "loopback", Local: true}, client(http.DefaultClient, "http://"+l.Addresses()[0]))
	far := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 7, 7)}}).DialContext}}
	require.Equal(t, "loopback", client(far, "http://"+l.Addresses()[0]).Peer)

	overUnix := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	require.Equal(t, Client{Peer: "uid " + strconv.Itoa(os.Geteuid()), Local: true, Unix: true}, client(overUnix, "http://x"))
}

func TestClientByTLS(t *testing.T) {
	c := testservers.NewCertificates(t)
	l, client := opened(t, Options{Listen: []string{"127.0.0.1:0"}, Cert: c.ServerCert, Key: c.ServerKey})
	pem, err := os.ReadFile(c.CA)
	require.NoError(t, err)
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(t, config.RootCAs.AppendCertsFromPEM(pem))
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	require.Equal(t, Client{Peer: "loopback", Local: true, Secure: true}, client(secure, "https://"+l.Addresses()[0]))
}

// TestOpenKey: a key that everybody may read is told, and used.
func TestOpenKey(t *testing.T) {
	c := testservers.NewCertificates(t)
	for mode, told := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		require.NoError(t, os.Chmod(c.ServerKey, mode))
		var log safebuffer.Buffer
		l, err := Open(Options{Listen: []string{"127.0.0.1:0"}, Cert: c.ServerCert, Key: c.ServerKey, Log: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		l.Close()
		require.Equal(t, told, strings.Contains(log.String(), c.ServerKey), "%o: %s", mode, log.String())
	}
}

// straying accepts connections that say where they are from.
type straying struct {
	net.Listener
	from chan string
}

func (s *straying) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &strayed{conn, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(<-s.from))}, nil
}

type strayed struct {
	net.Conn
	remote net.Addr
}

func (s *strayed) RemoteAddr() net.Addr { return s.remote }

// TestRouteLocalnet: what comes to a loopback address from elsewhere, as the kernel lets it with route_localnet,
// is no client of this machine.
func TestRouteLocalnet(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stray := &straying{inner, make(chan string, 3)}
	var log safebuffer.Buffer
	l, client := opened(t, Options{Listeners: []net.Listener{stray}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	url := "http://" + l.Addresses()[0]
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, from := range []string{"172.17.0.2:40000", "[2001:db8::1]:1"} {
		stray.from <- from
		_, err = fresh.Get(url)
		require.Error(t, err)
	}
	stray.from <- "127.0.0.1:40000"
	require.Equal(t, "loopback", client(fresh, url).Peer)
	require.Equal(t, 1, strings.Count(log.String(), "route_localnet"))
}
