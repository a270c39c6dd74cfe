package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/dns"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/discovery/memory"
	"github.com/envharness/envharness/internal/testservers"
)

// chainTTL is asked for, so that a death is seen soon. The engine may grant more.
const chainTTL = 3 * time.Second

// TestTheWholeChain, on every engine: a service is exported by two machines, a director publishes the address of one,
// an application resolves and uses it. That machine dies, and the application is started again with the other's.
func TestTheWholeChain(t *testing.T) {
	needProgram(t, "curl")
	needProgram(t, "jq")
	bin := t.TempDir()
	require.NoError(t, build(filepath.Join(bin, "web"), "./haproxy/web"))
	for _, engine := range engines.All {
		if engine.Scheme == memory.Engine.Scheme || engine.Scheme == dns.Engine.Scheme {
			continue // it is in one process, or read only
		}
		t.Run(engine.Scheme, func(t *testing.T) {
			t.Parallel()
			start := testservers.Registries[engine.Scheme]
			require.NotNil(t, start, "testservers.Registries needs a line for this engine")
			c := newChain(t, start(t), bin)
			first, second := c.serve(t, "web-1"), c.serve(t, "web-2")
			c.direct(t)
			app := c.use(t)
			app.starts(t, first.url+" is web-1")

			death := time.Now()
			first.die(t)
			app.starts(t, second.url+" is web-2")
			t.Logf("%s: the application was started with the new address %.1f s after the death; the TTL is %s",
				engine.Scheme, time.Since(death).Seconds(), c.ttl(t))
		})
	}
}

// chain is a registry, and what its clients have in their environment.
type chain struct {
	registry string
	env      []string
}

func newChain(t *testing.T, registry, bin string) *chain {
	return &chain{registry: registry, env: []string{
		"PATH=" + strings.Join([]string{bin, filepath.Dir(envdiscover), os.Getenv("PATH")}, ":"),
		"ENVDISCOVER_URL=" + registry,
		"CONTAINER_HOST=127.0.0.1",
	}}
}

// machine is one that has a harness for its PID 1.
type machine struct {
	*harnessProcess
	url     string // of a web server
	started string // the file of an application
}

// start starts a command under the harness, with executables for its directories: the path to the script.
func (c *chain) start(t *testing.T, env []string, executables map[string]string, words ...string) *machine {
	t.Helper()
	directory := t.TempDir()
	for path, script := range executables {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(directory, path)), 0o755))
		writeProgram(t, filepath.Join(directory, path), "#!/bin/sh\n"+script+"\n")
	}
	m := &machine{}
	m.harnessProcess = harnessed(t, append(env, c.env...), append([]string{
		"--init", "--socket", filepath.Join(directory, "socket"), "--timeout", "1m",
		"--environment", filepath.Join(directory, "environment"), "--export", filepath.Join(directory, "export"),
	}, words...)...)
	t.Cleanup(func() { // of all that the harness has started
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		if <-m.ended; t.Failed() {
			t.Logf("%q said:\n%s%s", words, &m.stdout, &m.stderr)
		}
	})
	return m
}

// serve starts a machine with a web server, exported.
func (c *chain) serve(t *testing.T, name string) *machine {
	t.Helper()
	port := testservers.FreePort(t)
	register := fmt.Sprintf("exec envdiscover register web --port http=%d --id %s --ttl %s", port, name, chainTTL)
	m := c.start(t, []string{"HOSTNAME=" + name, fmt.Sprintf("PORT=%d", port)}, map[string]string{"export/web": register}, "--", "web")
	m.url = fmt.Sprintf("http://127.0.0.1:%d/", port)
	return m
}

// direct starts a machine with a director, whose value is the address of the first instance.
func (c *chain) direct(t *testing.T) {
	t.Helper()
	direct := fmt.Sprintf(`exec envdiscover direct web --value WEB_URL --ttl %s -- \
		jq --raw-output '.instances[0] // empty | "http://\(.host):\(.ports.http.number)/"'`, chainTTL)
	c.start(t, nil, map[string]string{"export/director": direct}, "--", "sleep", "infinity")
}

// use starts a machine with an application, which tells in a file what it was started with and who answers there.
func (c *chain) use(t *testing.T) *machine {
	t.Helper()
	get := "exec envdiscover get WEB_URL --follow --wait 60s"
	started := filepath.Join(t.TempDir(), "started")
	m := c.start(t, []string{"STARTED=" + started}, map[string]string{"environment/WEB_URL": get}, "--on-change", "restart", "--",
		"sh", "-c", `echo "$WEB_URL is $(curl --silent --max-time 60 "$WEB_URL")" >>"$STARTED"; exec sleep infinity`)
	m.started = started
	return m
}

// starts waits until the application's last start was with this.
func (m *machine) starts(t *testing.T, with string) {
	t.Helper()
	var text []byte
	require.Eventually(t, func() bool {
		text, _ = os.ReadFile(m.started)
		return strings.HasSuffix(string(text), with+"\n")
	}, 2*patience, 20*time.Millisecond, "%s never came", with)
}

// ttl is what the engine grants.
func (c *chain) ttl(t *testing.T) time.Duration {
	t.Helper()
	registry, err := engines.Open(t.Context(), c.registry)
	require.NoError(t, err)
	defer registry.Close()
	registration, err := registry.Register(t.Context(), discovery.Instance{Service: "granted", Host: "127.0.0.1"}, chainTTL)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	return registration.TTL()
}
