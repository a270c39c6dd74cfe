package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestRestore does what docs/operating.md says: a snapshot of a registry that runs, and data of the snapshot once
// those that it had are damaged.
func TestRestore(t *testing.T) {
	if _, err := exec.LookPath("etcdctl"); err != nil {
		testservers.Missing(t, "etcdctl", "apt-get install etcd-client")
	}
	page, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)
	address := testservers.FreeAddress(t)
	directory := t.TempDir()
	data := filepath.Join(directory, "envdiscoverd")
	run := func(script string) {
		t.Helper()
		here := strings.NewReplacer("localhost:7171", address, "/var/lib", directory)
		sh := exec.Command("sh", "-e", "-c", here.Replace(script))
		sh.Dir = directory
		output, err := sh.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}

	stop := serving(t, data, address)
	put(t, address, "KEPT", "before")
	run(blocks[0][1])
	put(t, address, "LATER", "after")
	stop()
	logs, err := filepath.Glob(data + "/etcd/member/wal/*.wal")
	require.NoError(t, err)
	require.NoError(t, os.Truncate(logs[0], 300))
	code, _, stderr := outcome("--data", data, "--listen", address)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "docs/operating.md")

	run(blocks[1][1])
	defer serving(t, data, address)()
	response, err := http.Get("http://" + address + "/environment")
	require.NoError(t, err)
	defer response.Body.Close()
	names, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.JSONEq(t, `["KEPT"]`, string(names))
	put(t, address, "NEW", "again")
}

// serving runs envdiscoverd until stop.
func serving(t *testing.T, data, address string) (stop func()) {
	t.Helper()
	cmd := command("--data", data, "--listen", address)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	}, patience, tick)
	return func() {
		t.Helper()
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	}
}

func put(t *testing.T, address, name, value string) {
	t.Helper()
	response, err := http.Post(fmt.Sprintf("http://%s/environment/%s", address, name), "", strings.NewReader(value))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusNoContent, response.StatusCode)
}

// TestReadmeTellsTheMetrics: each metric that docs/operating.md names is one.
func TestReadmeTellsTheMetrics(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	address := testservers.FreeAddress(t)
	defer serving(t, filepath.Join(t.TempDir(), "data"), address)()
	foreign, err := http.NewRequest(http.MethodGet, "http://"+address+"/environment", nil)
	require.NoError(t, err)
	foreign.Host = "foreign.example" // so that something was refused
	response, err := http.DefaultClient.Do(foreign)
	require.NoError(t, err)
	response.Body.Close()
	response, err = http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	names := regexp.MustCompile("`((?:envdiscoverd|etcd|process)_[a-z_]+)`").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(names), 8)
	for _, name := range names {
		require.True(t, strings.Contains(string(metrics), "# HELP "+name[1]+" "), "there is no metric %s", name[1])
	}
}
