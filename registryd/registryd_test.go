package registryd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/etcd"
	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
	"github.com/envharness/envharness/internal/testservers/parallel"
)

// patience bounds what a busy machine may take.
const patience = time.Minute

// processVariable tells this test binary that it is a registry, and which.
const processVariable = "ENVHARNESS_TEST_REGISTRYD"

func TestMain(m *testing.M) {
	tuning.PasswordCost = uint(bcrypt.MinCost) // a login under the race detector takes seconds of a busy machine otherwise
	usualTimes.answer = patience
	if text := os.Getenv(processVariable); text != "" {
		if err := serveForTest(text); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	spreadTime = time.Second
	os.Exit(parallel.Tests{M: m}.Run())
}

// serveForTest is the life of such a process.
func serveForTest(text string) error {
	var options Options
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := Start(ctx, options)
	if err != nil {
		return err
	}
	err = server.Wait(ctx)
	server.Close()
	return err
}

// needRoot is for tests that mount or make networks.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		testservers.Missing(t, "root", "run this test as root")
	}
}

// startProcess runs a registry in a process of its own, that can be killed. The race detector watches those that run in the
// tests' own process.
func startProcess(t testing.TB, options Options) (*testservers.Process, string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if raced {
		self = testservers.PlainTest(t, "registryd")
	}
	address := testservers.FreeAddress(t)
	options.Listen = append([]string{address}, options.Listen...)
	text, err := json.Marshal(options)
	require.NoError(t, err)
	command := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), processVariable+"="+string(text))
		return cmd
	}
	process := testservers.StartProcess(t, "registryd", command, func() error {
		response, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	})
	return process, "http://" + address
}

// dataDirectory is one that is not there yet. An etcd whose Close does not wait any longer still writes in it for a while.
func dataDirectory(t testing.TB) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "registryd")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(parent) == nil }, patience, 10*time.Millisecond)
	})
	return filepath.Join(parent, "data")
}

// start runs a registry in this process and gives its URL.
func start(t testing.TB, options Options) (*Server, string) {
	t.Helper()
	if options.Data == "" && options.Etcd == "" {
		options.Data = dataDirectory(t)
	}
	if len(options.Listen) == 0 {
		options.Listen = []string{"127.0.0.1:0"}
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	server, err := Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	scheme := "http://"
	if options.Cert != "" {
		scheme = "https://"
	}
	return server, scheme + server.Addresses()[0]
}

// answer is a reply, read whole.
type answer struct {
	status int
	body   string
	reason string
	header http.Header
}

// newRequest makes a request; words after the body are header names and values in turns.
func newRequest(t testing.TB, method, url, body string, header ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
		request.Header.Set(header[i], header[i+1])
	}
	return request
}

func ask(t testing.TB, method, url, body string, header ...string) answer {
	t.Helper()
	return do(t, http.DefaultClient, newRequest(t, method, url, body, header...))
}

func do(t testing.TB, client *http.Client, request *http.Request) answer {
	t.Helper()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, string(data), response.Header.Get(ErrorHeader), response.Header}
}

// refused asserts an error: with a reason, and an empty body.
func refused(t testing.TB, status int, a answer) {
	t.Helper()
	require.Equal(t, status, a.status, a.reason)
	require.Empty(t, a.body)
	require.NotEmpty(t, a.reason)
}

// etcdClient is etcd's own client at the registry's port.
func etcdClient(t testing.TB, url string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{strings.TrimPrefix(url, "http://")}, Logger: zap.NewNop(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// registry is this project's client at the registry's port.
func registry(t testing.TB, url string) discovery.Registry {
	t.Helper()
	r, err := discovery.NewEngines(etcd.Engine).Open(t.Context(), strings.Replace(url, "http://", "etcd://", 1))
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// logTo makes a log that a test reads.
func logTo(b *safebuffer.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestOneLine(t *testing.T) {
	require.Equal(t, `no \n "quotes" \u00e9 \x00`, headerText("no \n \"quotes\" é \x00"))
}

// TestStart tells mistakes before anything is served.
func TestStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	data := dataDirectory(t)
	start(t, Options{Data: data})
	c := testservers.NewCertificates(t)
	for name, test := range map[string]struct {
		options Options
		say     string
		hint    string
	}{
		"no data":          {Options{}, "data directory", ""},
		"data and etcd":    {Options{Data: dataDirectory(t), Etcd: "etcd://localhost"}, "data directory", ""},
		"data in use":      {Options{Data: data}, data, "another envdiscoverd"},
		"address in use":   {Options{Listen: []string{taken.Addr().String()}}, taken.Addr().String(), "another process"},
		"no such address":  {Options{Listen: []string{"198.51.100.1:0"}}, "198.51.100.1", "no such address"},
		"open to all":      {Options{Listen: []string{"0.0.0.0:0"}}, "neither --auth nor a certificate", "--insecure"},
		"open, no TLS":     {Options{Listen: []string{":0"}, Auth: true}, "has no certificate (--cert, --key)", "--insecure"},
		"open, no users":   {Options{Listen: []string{":0"}, Cert: c.ServerCert, Key: c.ServerKey}, "has no --auth", "--insecure"},
		"cert without key": {Options{Cert: c.ServerCert}, "go together", ""},
		"ca alone":         {Options{CA: c.CA}, "certificate of the server", ""},
		"missing cert":     {Options{Cert: "/nowhere/cert", Key: "/nowhere/key"}, "/nowhere/cert", ""},
		"login in the URL": {Options{Etcd: "etcd://root:hidden@localhost"}, "has a login", "leave it out"},
		"no etcd URL":      {Options{Etcd: "ftp://x"}, "unknown engine", ""},
		"long path":        {Options{Data: dataDirectory(t) + "/" + strings.Repeat("x", 100)}, "too long", ""},
	} {
		t.Run(name, func(t *testing.T) {
			options := test.options
			options.Log = slog.New(slog.DiscardHandler)
			if len(options.Listen) == 0 {
				options.Listen = []string{"127.0.0.1:0"}
			}
			if options.Data == "" && options.Etcd == "" && name != "no data" {
				options.Data = dataDirectory(t)
			}
			server, err := Start(t.Context(), options)
			if err == nil {
				server.Close()
			}
			require.ErrorContains(t, err, test.say)
			require.NotContains(t, err.Error(), "hidden")
			if test.hint != "" {
				require.Implements(t, (*interface{ Hint() string })(nil), err)
				require.Contains(t, err.(interface{ Hint() string }).Hint(), test.hint)
			}
		})
	}
}

// TestStop ends watches, and does not wait for clients that do not go.
func TestStop(t *testing.T) {
	server, url := start(t, Options{})
	response, err := http.Get(url + "/watch")
	require.NoError(t, err)
	defer response.Body.Close()
	client := etcdClient(t, url)
	changes := client.Watch(t.Context(), "x")
	_, err = client.Put(t.Context(), "x", "1")
	require.NoError(t, err)
	<-changes
	waiting := make(chan error, 1)
	go func() {
		response, err := http.Get(url + "/environment/NEVER?wait=1h")
		if err == nil {
			response.Body.Close()
		}
		waiting <- err
	}()
	server.Close()
	server.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	<-waiting
	_, err = net.Dial("tcp", server.Addresses()[0])
	require.Error(t, err)
}

// TestStopFinishes lets a call that is under way come to its end.
func TestStopFinishes(t *testing.T) {
	data := dataDirectory(t)
	server, url := start(t, Options{Data: data})
	conn, err := net.Dial("tcp", server.Addresses()[0])
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PUT /environment/LAST HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue") // its handler reads the body
	server.finishTime = patience              // on a busy machine the call needs more than it has
	closed := make(chan struct{})
	go func() { server.Close(); close(closed) }()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", server.Addresses()[0])
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, patience, time.Millisecond)
	_, err = io.WriteString(conn, "half-whole")
	require.NoError(t, err)
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	line, err = reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, " 204 ")
	<-closed
	require.NotEmpty(t, url)
	_, url = start(t, Options{Data: data})
	require.Equal(t, "half-whole", ask(t, "GET", url+"/environment/LAST", "").body)
}

func TestRestart(t *testing.T) {
	data := dataDirectory(t)
	server, url := start(t, Options{Data: data})
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/KEPT", "yes").status)
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a?ttl=1h", `{"host":"h"}`).status)
	server.Close()
	_, url = start(t, Options{Data: data})
	require.Equal(t, "yes", ask(t, "GET", url+"/environment/KEPT", "").body)
	require.Contains(t, ask(t, "GET", url+"/services/web", "").body, `"host":"h"`)
	info, err := os.Stat(data)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}
