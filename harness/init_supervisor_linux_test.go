package harness_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness"
)

// superviseWord as first argument makes this test binary a harness under Init, so that the race detector
// watches it. It has to be a process of its own: it reaps every child of its process.
const superviseWord = "supervise"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == superviseWord {
		os.Exit(supervise(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func supervise(dir string, command []string) int {
	o := harness.DefaultOptions()
	o.Environment = []string{filepath.Join(dir, "environment")}
	o.Export = []string{filepath.Join(dir, "export")}
	o.Jobs = 4
	o.Init.Enabled = true
	o.Init.Socket = filepath.Join(dir, "socket")
	o.Init.Write = filepath.Join(dir, "written.env")
	o.Init.Refresh = 20 * time.Millisecond
	o.Init.Health = filepath.Join(dir, "health")
	o.Init.HealthInterval = 10 * time.Millisecond
	o.Init.Ready = harness.ReadyNotify
	h := harness.New(o, harness.CatchSignals())
	h.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := h.Run(command)
	harness.Each(err, func(one error) { os.Stderr.WriteString(one.Error() + "\n") })
	return harness.ExitCode(err)
}

func script(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
}

// say sends one message of sd_notify(3): the shell has no datagram sockets.
const say = `say() { python3 -c 'import os, socket, sys
a = os.environ["NOTIFY_SOCKET"]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), "\0" + a[1:] if a[0] == "@" else a)' "$1"; }
`

// TestSupervisorUnderLoad lets everything that a harness beside COMMAND does happen at once: refreshes, pushed
// values, restarts, probes, requests, a drain and a stop. The race detector is what judges.
func TestSupervisorUnderLoad(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		require.NotEqual(t, "all", os.Getenv("ENVHARNESS_TEST_REQUIRE"), "python3 is not installed: apt-get install python3")
		t.Skip("python3 is not installed: apt-get install python3")
	}
	dir := t.TempDir()
	script(t, filepath.Join(dir, "environment", "CLOCK"), "date +%s%N\n")
	script(t, filepath.Join(dir, "environment", "PUSHED"),
		say+"n=0\nwhile :; do n=$((n+1)); echo value $n; say READY=1; sleep 0.05; done\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "environment", "PLAIN"), []byte("content\n"), 0o644))
	script(t, filepath.Join(dir, "export", "web"), say+"trap 'exit 0' TERM\nsay READY=1\nwhile :; do sleep 0.05; done\n")
	script(t, filepath.Join(dir, "export", "teardown"), "echo torn down >> "+filepath.Join(dir, "log")+"\n")
	script(t, filepath.Join(dir, "health"), "exit 0\n")
	script(t, filepath.Join(dir, "command"),
		"trap 'echo >> "+filepath.Join(dir, "ended")+"; exit 7' TERM\necho \"$PLAIN $PUSHED\" >> "+filepath.Join(dir, "started")+"\n"+
			say+"say READY=1\nwhile :; do sleep 0.05; done\n")
	lines := func(name string) int {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return bytes.Count(text, []byte("\n"))
	}

	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], superviseWord, dir, filepath.Join(dir, "command"))
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	socket := filepath.Join(dir, "socket")
	require.Eventually(t, func() bool { return ask(socket, harness.RequestReady) == nil }, time.Minute, 20*time.Millisecond)

	askFromManySides(t, socket)
	require.Eventually(t, func() bool { return lines("started") >= 3 }, time.Minute, 20*time.Millisecond,
		"values change all the time, so the command is restarted")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	err := cmd.Wait()

	require.NotContains(t, stderr.String(), "DATA RACE")
	want := 7
	if cmd.ProcessState.ExitCode() == 143 && lines("started") == lines("ended") {
		want = 143 // it was being restarted just then: the signal came before the trap
	}
	require.Equal(t, want, cmd.ProcessState.ExitCode(), "%v\n%s", err, stderr.String())
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, strings.Count(string(log), "torn down"), 2, "at the drain and at the stop")
	require.NoFileExists(t, socket)
}

func ask(socket, request string) error {
	_, err := harness.Ask(socket, request)
	return err
}

func askFromManySides(t *testing.T, socket string) {
	t.Helper()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 10 {
				text, err := harness.Ask(socket, harness.RequestStatus)
				var status harness.Status
				if err != nil || json.Unmarshal(text, &status) != nil || len(status.Names) != 3 {
					t.Errorf("status: %v %s", err, text)
				}
			}
		})
	}
	require.NoError(t, ask(socket, harness.RequestDrain))
	text, err := harness.Ask(socket, harness.RequestStatus)
	require.NoError(t, err)
	require.Contains(t, string(text), `"phase":"drained"`)
	require.Contains(t, string(text), `"exporters":[]`)
	require.NoError(t, ask(socket, harness.RequestResume))
	clients.Wait()
}
