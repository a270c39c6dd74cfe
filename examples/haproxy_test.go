package examples_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestHAProxyDropsNoRequest sends traffic through Debian's HAProxy while instances come and go, each as in its
// container: under the harness, withdrawn and drained before it is stopped.
func TestHAProxyDropsNoRequest(t *testing.T) {
	for _, program := range []string{"haproxy", "jq", "socat", "ss"} {
		needProgram(t, program)
	}
	t.Parallel()
	site := newSite(t)
	first, second := site.start(t, "first"), site.start(t, "second")
	balancer := site.startBalancer(t)

	traffic := startTraffic(t, site.url)
	traffic.await(t, "first", "second")
	running := []*harnessProcess{first, second}
	for n := range 4 {
		name := fmt.Sprint("later-", n)
		running = append(running, site.start(t, name))
		traffic.await(t, name)
		site.stop(t, running[0])
		running = running[1:]
	}
	traffic.end()
	require.Empty(t, traffic.failures)
	require.Len(t, traffic.answers, 6, "every instance has answered")
	for name, count := range traffic.answers {
		t.Logf("%d requests were answered by %s", count, name)
	}

	for _, instance := range running {
		site.stop(t, instance)
	}
	site.eventuallyAnswers(t, http.StatusServiceUnavailable)
	site.stop(t, balancer)
}

// TestHAProxyIsToldOfAChangeWhileItStarts: it may have read the file before that, so the change is not done until it
// answers.
func TestHAProxyIsToldOfAChangeWhileItStarts(t *testing.T) {
	for _, program := range []string{"haproxy", "jq", "socat"} {
		needProgram(t, program)
	}
	t.Parallel()
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	env := []string{"HAPROXY_CONFIG=" + config, "HAPROXY_MASTER=" + config + ".sock", "HAPROXY_BIND=127.0.0.1:80"}
	write := func(port int) result {
		return run(t, env, "sh", "-c", fmt.Sprintf(`echo '{"service":"web","instances":[{"id":"a","host":"127.0.0.1","ports":{"http":{"number":%d}}}]}' | haproxy/write-haproxy`, port))
	}
	require.Equal(t, result{}, write(81), "it is started by the first file")
	later := write(82)
	require.Equal(t, 1, later.exitCode)
	require.Contains(t, later.stderr, "may be starting")
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.Contains(t, string(text), "\tserver a 127.0.0.1:82\n")
}

// TestHAProxyIsWrittenFromHostileRecords: others write the registry, and nothing of theirs is more than a server.
func TestHAProxyIsWrittenFromHostileRecords(t *testing.T) {
	for _, program := range []string{"haproxy", "jq", "socat"} {
		needProgram(t, program)
	}
	t.Parallel()
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	env := []string{"HAPROXY_CONFIG=" + config, "HAPROXY_MASTER=" + config + ".sock", "HAPROXY_BIND=127.0.0.1:80"}
	snapshot := `{"service":"web","instances":[
		{"id":"a/~b\n\tserver evil","host":"127.0.0.1","ports":{"http":{"number":81},"x":{"number":82}}},
		{"id":"six","host":"::1","ports":{"only":{"number":83}}},
		{"id":"two ports","host":"127.0.0.1","ports":{"x":{"number":84},"y":{"number":85}}},
		{"id":"host","host":"127.0.0.1:1\n\tserver evil","ports":{"http":{"number":86}}},
		{"id":"number","host":"127.0.0.1","ports":{"http":{"number":0}}},
		{"id":"none"}]}`
	got := run(t, env, "sh", "-c", "exec haproxy/write-haproxy <<'END'\n"+snapshot+"\nEND\n")
	require.Equal(t, result{}, got)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	_, servers, _ := strings.Cut(string(text), "balance roundrobin\n")
	require.Equal(t, "\tserver a:2F:7Eb:0A:09server:20evil 127.0.0.1:81\n\tserver six [::1]:83\n", servers)
}

// site is a registry, its balancer and the web servers behind.
type site struct {
	env     []string
	address string // of the balancer
	url     string
}

func newSite(t *testing.T) *site {
	t.Helper()
	bin, directory := t.TempDir(), t.TempDir()
	require.NoError(t, build(filepath.Join(bin, "web"), "./haproxy/web"))
	here, err := os.Getwd()
	require.NoError(t, err)
	address := testservers.FreeAddress(t)
	return &site{
		address: address,
		url:     "http://" + address + "/",
		env: []string{
			"PATH=" + strings.Join([]string{bin, filepath.Dir(envdiscover), filepath.Join(here, "haproxy"), os.Getenv("PATH")}, ":"),
			"ENVDISCOVER_URL=etcd://" + testservers.EmbeddedEtcd(t).Address,
			"CONTAINER_HOST=127.0.0.1",
			"DRAIN=6",
			"HAPROXY_CONFIG=" + filepath.Join(directory, "haproxy.cfg"),
			"HAPROXY_MASTER=" + filepath.Join(directory, "master.sock"),
			"HAPROXY_BIND=" + address,
		},
	}
}

// harnessed starts a command as a container would.
func (s *site) harnessed(t *testing.T, env []string, export string, command ...string) *harnessProcess {
	t.Helper()
	options := []string{"--init", "--socket", filepath.Join(t.TempDir(), "socket"), "--grace", "2m", "--timeout", "1m", "--export", export, "--"}
	return harnessed(t, append(slices.Clone(s.env), env...), append(options, command...)...)
}

func (s *site) start(t *testing.T, name string) *harnessProcess {
	t.Helper()
	return s.harnessed(t, []string{"HOSTNAME=" + name, fmt.Sprintf("PORT=%d", testservers.FreePort(t))}, "haproxy/instance/export", "web")
}

func (s *site) startBalancer(t *testing.T) *harnessProcess {
	t.Helper()
	config, master := s.getenv("HAPROXY_CONFIG"), s.getenv("HAPROXY_MASTER")
	env := []string{"ENVHARNESS_SIGNAL_MAP=TERM=USR1"}
	balancer := s.harnessed(t, env, "haproxy/balancer/export", "haproxy", "-W", "-db", "-f", config, "-S", master+",mode,600")
	s.eventuallyAnswers(t, http.StatusOK)
	return balancer
}

func (s *site) getenv(name string) string {
	for _, variable := range s.env {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

func (s *site) eventuallyAnswers(t *testing.T, status int) {
	t.Helper()
	eventually(t, fmt.Sprint("the answer ", status), func() bool {
		response, err := http.Get(s.url)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == status
	})
}

// stop ends a process as docker stop does.
func (s *site) stop(t *testing.T, p *harnessProcess) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	_ = p.wait(t)
	require.Contains(t, []int{0, 128 + int(syscall.SIGTERM)}, p.cmd.ProcessState.ExitCode(), p.stderr.String())
}

// traffic is requests without a pause: by clients that connect for each, and by clients that keep a connection.
type traffic struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup

	lock     sync.Mutex
	answers  map[string]int // by who gave them
	failures []string
}

func startTraffic(t *testing.T, url string) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	s := &traffic{cancel: cancel, answers: map[string]int{}}
	for n := range 6 {
		transport := &http.Transport{DisableKeepAlives: n%2 == 0}
		s.clients.Go(func() {
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for ctx.Err() == nil {
				s.note(ask(client, url))
			}
		})
	}
	t.Cleanup(s.end)
	return s
}

// ask gives who has answered.
func ask(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

func (s *traffic) note(who string, err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if err != nil {
		s.failures = append(s.failures, err.Error())
		return
	}
	s.answers[who]++
}

// await waits until these have answered.
func (s *traffic) await(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, fmt.Sprint("an answer of ", names), func() bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		answered := slices.Collect(maps.Keys(s.answers))
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(answered, name) })
	})
}

// end sends no more.
func (s *traffic) end() {
	s.cancel()
	s.clients.Wait()
}
