package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// directed is the program of these tests' directors: it tells that it runs, waits while its file "hold" is there,
// and publishes its name.
const directed = `#!/bin/sh
cat >/dev/null
echo >"$1/runs"
while [ -e "$1/hold" ]; do sleep 0.05; done
basename "$1"
`

// aDirector is a process of envdiscover direct, with a directory for its program.
type aDirector struct {
	*exec.Cmd
	directory string
	log       *safebuffer.Buffer
}

// startDirector starts one whose value is its name. It is killed with the test.
func startDirector(t *testing.T, url, name, ttl string) *aDirector {
	t.Helper()
	d := &aDirector{directory: filepath.Join(t.TempDir(), name), log: &safebuffer.Buffer{}}
	require.NoError(t, os.Mkdir(d.directory, 0o755))
	d.Cmd = envdiscover(url, "direct", "db", "--value", "ADDRESS", "--ttl", ttl, "--wait", "60s", "--log-level", "info",
		"--", "sh", "-c", strings.TrimPrefix(directed, "#!/bin/sh\n"), "sh", d.directory)
	d.Stderr = d.log
	require.NoError(t, d.Start())
	t.Cleanup(func() { _ = d.Process.Kill(); _ = d.Process.Signal(syscall.SIGCONT); _ = d.Wait() })
	return d
}

func (d *aDirector) path(name string) string { return filepath.Join(d.directory, name) }

// hold keeps its program running from now on.
func (d *aDirector) hold(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.path("hold"), nil, 0o644))
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, patience, 10*time.Millisecond)
}

// onEachServer runs a test on every engine that has one.
func onEachServer(t *testing.T, test func(t *testing.T, url string)) {
	require.NotEmpty(t, testservers.Registries)
	for scheme, start := range testservers.Registries {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// TestAKilledDirectorIsFollowed by one that stood by.
func TestAKilledDirectorIsFollowed(t *testing.T) {
	onEachServer(t, func(t *testing.T, url string) {
		_, values := held(t, url, "", "get", "ADDRESS", "--follow", "--wait", "60s")
		first := startDirector(t, url, "first", "2s")
		eventually(t, func() bool { return values.String() == "first\n" })
		startDirector(t, url, "second", "2s")
		require.NoError(t, first.Process.Kill())
		eventually(t, func() bool { return values.String() == "first\nsecond\n" })
	})
}

// TestAStaleDirectorCannotWrite: one that stood still past its TTL, its value made and not written yet.
func TestAStaleDirectorCannotWrite(t *testing.T) {
	onEachServer(t, func(t *testing.T, url string) {
		_, values := held(t, url, "", "get", "ADDRESS", "--follow", "--wait", "60s")
		stale := startDirector(t, url, "stale", "4s")
		eventually(t, func() bool { return values.String() == "stale\n" })
		stale.hold(t)
		require.NoError(t, os.Remove(stale.path("runs")))
		web, _ := held(t, url, "", "register", "db", "--port", "80", "--id", "db-1")
		eventually(t, exists(stale.path("runs")))

		next := startDirector(t, url, "next", "4s")
		require.NoError(t, stale.Process.Signal(syscall.SIGSTOP))
		eventually(t, func() bool { return values.String() == "stale\nnext\n" })
		require.NoError(t, os.Remove(stale.path("hold"))) // its program ends, and prints "stale"
		require.NoError(t, os.Remove(stale.path("runs")))
		require.NoError(t, stale.Process.Signal(syscall.SIGCONT))
		eventually(t, func() bool { return strings.Contains(stale.log.String(), "directs no more") })
		require.Equal(t, "next\n", run(t, url, "get", "ADDRESS"))

		require.NoError(t, next.Process.Kill()) // now it may, as the one that directs
		eventually(t, exists(stale.path("runs")))
		eventually(t, func() bool { return values.String() == "stale\nnext\nstale\n" })
		require.NoError(t, web.Process.Signal(syscall.SIGTERM))
		require.NoError(t, web.Wait())
	})
}

// TestADirectorResigns at TERM: its program and what that has started end, another takes over at once.
func TestADirectorResigns(t *testing.T) {
	onEachServer(t, func(t *testing.T, url string) {
		_, values := held(t, url, "", "get", "ADDRESS", "--follow", "--wait", "60s")
		socket, next := notifications(t)
		leader := envdiscover(url, "direct", "db", "--value", "ADDRESS", "--ttl", "1h", "--wait", "60s",
			"--", "sh", "-c", `echo runs >&2; sleep 1000 & sleep 1000`)
		leader.Env = append(leader.Env, "NOTIFY_SOCKET="+socket)
		stderr, err := leader.StderrPipe() // which the whole group of the program has, so its end is the group's
		require.NoError(t, err)
		require.NoError(t, leader.Start())
		t.Cleanup(func() { _ = leader.Process.Kill() })
		require.Equal(t, "READY=1", next())
		buffer := make([]byte, 5)
		_, err = io.ReadFull(stderr, buffer)
		require.NoError(t, err)
		require.Equal(t, "runs\n", string(buffer))

		standby, _ := held(t, url, socket, "direct", "db", "--value", "ADDRESS", "--ttl", "1h", "--wait", "60s", "--", "echo", "standby")
		require.Equal(t, "READY=1", next(), "who stands by is ready, too")
		require.NoError(t, leader.Process.Signal(syscall.SIGTERM))
		rest, err := io.ReadAll(stderr)
		require.NoError(t, err)
		require.Empty(t, string(rest))
		require.NoError(t, leader.Wait())
		eventually(t, func() bool { return values.String() == "standby\n" })
		require.NoError(t, standby.Process.Signal(syscall.SIGTERM))
		require.NoError(t, standby.Wait())
		require.Equal(t, "standby\n", run(t, url, "get", "ADDRESS"), "the value outlives the director")
	})
}
