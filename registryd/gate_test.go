package registryd

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/internal/testservers"
)

// TestForeignPage sends what a browser sends when a page of somebody else's tells it to.
func TestForeignPage(t *testing.T) {
	_, url := start(t, Options{Hosts: []string{"registry.test"}})
	host := strings.TrimPrefix(url, "http://")
	value := url + "/environment/A"
	require.Equal(t, 204, ask(t, "PUT", value, "secret").status)

	t.Run("writes", func(t *testing.T) {
		for _, headers := range [][]string{
			{"Origin", "http://evil.test"},
			{"Origin", "null"},
			{"Origin", "https://" + host + ".evil.test"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "cross-site", "Origin", "http://" + host},
		} {
			for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "application/grpc"} {
				for _, method := range []string{"POST", "PUT", "DELETE"} {
					refused(t, 403, ask(t, method, value, "evil", append(headers, "Content-Type", kind)...))
				}
			}
			refused(t, 403, ask(t, "PUT", url+"/services/web/a", "{}", headers...))
			refused(t, 403, ask(t, "DELETE", url+"/services/web/a", "", headers...))
		}
		require.Equal(t, "secret", ask(t, "GET", value, "").body)
	})
	t.Run("reads", func(t *testing.T) {
		for _, path := range []string{"/environment/A", "/environment", "/services", "/services/x", "/", "/page.js", "/metrics", "/prometheus", "/environment?values=1", "/healthz", "/readyz"} {
			a := ask(t, "GET", url+path, "", "Origin", "http://evil.test")
			require.Equal(t, "same-origin", a.header.Get("Cross-Origin-Resource-Policy"), path)
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
			require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'", path)
			require.Contains(t, a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
			for name := range a.header {
				require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s: %s", path, name)
			}
		}
		preflight := ask(t, "OPTIONS", value, "", "Origin", "http://evil.test", "Access-Control-Request-Method", "PUT")
		refused(t, 405, preflight)
		require.Empty(t, preflight.header.Get("Access-Control-Allow-Origin"))
	})
	t.Run("DNS rebinding", func(t *testing.T) {
		for _, name := range []string{
			"evil.test", "evil.test:7171", "localhost.evil.test", "127.0.0.1.evil.test", "a", "localhost:x",
			"registry.test.", "xregistry.test", "localhost:99999",
		} {
			for _, path := range []string{"/environment/A", "/services", "/", "/healthz", "/readyz", "/metrics"} {
				refused(t, 421, ask(t, "GET", url+path, "", "Host", name))
			}
			refused(t, 421, ask(t, "PUT", value, "evil", "Host", name, "Origin", "http://"+name))
		}
		for _, name := range []string{"localhost", "LOCALHOST:7171", "127.0.0.1", "10.1.2.3:80", "[::1]:7171", "[::1]", "[fe80::1%25eth0]:1", "registry.test", "Registry.Test:7171"} {
			require.Equal(t, 200, ask(t, "GET", value, "", "Host", name).status, name)
		}
	})
	t.Run("its own page", func(t *testing.T) {
		require.Equal(t, 204, ask(t, "PUT", value, "own", "Origin", "http://"+host, "Sec-Fetch-Site", "same-origin").status)
		require.Equal(t, 204, ask(t, "PUT", value, "typed", "Sec-Fetch-Site", "none").status)
	})
}

func TestNoHost(t *testing.T) {
	_, url := start(t, Options{})
	for _, head := range []string{"GET /environment HTTP/1.0\r\n\r\n", "GET /environment HTTP/1.1\r\nHost:\r\n\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(head))
		require.NoError(t, err)
		line := make([]byte, 12)
		_, err = conn.Read(line)
		require.NoError(t, err)
		require.Contains(t, string(line), " 421")
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	data := dataDirectory(t)
	server, _ := start(t, Options{Data: data, Listen: []string{"unix:" + path}})
	require.Equal(t, []string{"unix:" + path}, server.Addresses())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o660), info.Mode().Perm())

	client := overUnix(path)
	require.Equal(t, 204, do(t, client, newRequest(t, "PUT", "http://whatever/environment/A", "x")).status)
	require.Equal(t, "x", do(t, client, newRequest(t, "GET", "http://whatever/environment/A", "")).body)
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + path}, Logger: zap.NewNop()})
	require.NoError(t, err)
	defer etcd.Close()
	response, err := etcd.Get(t.Context(), "/envharness/environment/A")
	require.NoError(t, err)
	require.Len(t, response.Kvs, 1)

	_, err = Start(t.Context(), Options{Data: dataDirectory(t), Listen: []string{"unix:" + path}})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	server.Close()
	require.NoFileExists(t, path)
}

// TestStaleSocket: one that a killed process left is no obstacle; a file that is none stays.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	start(t, Options{Listen: []string{"unix:" + path}})
	require.Equal(t, 200, do(t, overUnix(path), newRequest(t, "GET", "http://x/healthz", "")).status)

	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = Start(t.Context(), Options{Data: dataDirectory(t), Listen: []string{"unix:" + file}})
	require.Error(t, err)
	require.FileExists(t, file)
}

// TestForeignSocket: one that somebody else serves in a way of his own stays.
func TestForeignSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	served, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer served.Close()
	_, err = Start(t.Context(), Options{Data: dataDirectory(t), Listen: []string{"unix:" + path}})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	_, err = os.Lstat(path)
	require.NoError(t, err)
}

// TestOperator: nobody adds a member to this etcd, and only the machine itself makes users or looks after the data,
// until there are users.
func TestOperator(t *testing.T) {
	server, near := start(t, Options{Insecure: true, Listen: []string{"127.0.0.1:0", ownAddress(t) + ":0"}})
	far := "http://" + server.Addresses()[1]
	for url, refusal := range map[string]string{near: "", far: "only the machine itself"} {
		client := etcdClient(t, url)
		_, err := client.MemberAdd(t.Context(), []string{"http://192.0.2.77:2380"})
		require.ErrorContains(t, err, "one member")
		_, err = client.MemberAddAsLearner(t.Context(), []string{"http://192.0.2.77:2380"})
		require.ErrorContains(t, err, "one member")
		members, err := client.MemberList(t.Context())
		require.NoError(t, err)
		require.Len(t, members.Members, 1)
		_, err = client.MemberRemove(t.Context(), members.Members[0].ID)
		require.ErrorContains(t, err, "one member")
		_, err = client.AuthStatus(t.Context())
		require.NoError(t, err)
		_, err = client.Status(t.Context(), strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		for name, do := range map[string]func() error{
			"users":  func() error { _, err := client.UserList(t.Context()); return err },
			"alarms": func() error { _, err := client.AlarmList(t.Context()); return err },
			"defrag": func() error {
				_, err := client.Defragment(t.Context(), strings.TrimPrefix(url, "http://"))
				return err
			},
		} {
			if err := do(); refusal == "" {
				require.NoError(t, err, name)
			} else {
				require.ErrorContains(t, err, refusal, name)
			}
		}
	}
	makeUsers(t, etcdClient(t, near))
	_, err := login(t, far, "root", "rootpw").UserAdd(t.Context(), "another", "pw")
	require.NoError(t, err)
	_, err = login(t, far, "web", "webpw").UserAdd(t.Context(), "third", "pw")
	require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
}

func overUnix(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
}

// TestExternal stands in front of an etcd that is there already.
func TestExternal(t *testing.T) {
	t.Parallel()
	etcd := testservers.EmbeddedEtcd(t)
	_, url := start(t, Options{Etcd: "etcd://" + etcd.Address + "/there"})
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "x").status)
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a", `{"host":"h"}`).status)
	require.Equal(t, "x", ask(t, "GET", url+"/environment/A", "").body)
	behind := etcdClient(t, "http://"+etcd.Address)
	response, err := behind.Get(t.Context(), "/there/", clientv3.WithPrefix())
	require.NoError(t, err)
	require.Len(t, response.Kvs, 2)

	_, err = etcdClient(t, url).Get(t.Context(), "x")
	require.ErrorContains(t, err, "etcd itself")
	require.Equal(t, 200, ask(t, "GET", url+"/readyz", "").status)
	require.NotContains(t, ask(t, "GET", url+"/metrics", "").body, "etcd_server_")
	_, impatient := start(t, Options{Etcd: "etcd://" + etcd.Address + "/there", times: times{body: patience, answer: time.Second}})
	etcd.Kill(t)
	refusedReady := ask(t, "GET", impatient+"/readyz", "")
	require.Equal(t, 503, refusedReady.status)
	require.Contains(t, refusedReady.reason, etcd.Address)
	refused(t, 503, ask(t, "GET", impatient+"/environment/A", ""))
	require.Equal(t, 200, ask(t, "GET", impatient+"/healthz", "").status)
	etcd.Start(t)
	require.Eventually(t, func() bool { return ask(t, "GET", url+"/environment/A", "").body == "x" }, patience, patience/1000)
}
