package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// rollingApp writes down when it serves, and when it does no more. It is well, which it tells at /ready, from the one to
// the other.
const rollingApp = `
	mkdir -p "$RUN_DIR/www" && rm -f "$RUN_DIR/www/ready"
	python3 -m http.server --bind 127.0.0.1 --directory "$RUN_DIR/www" "$PORT" >/dev/null 2>&1 & server=$!
	trap 'rm -f "$RUN_DIR/www/ready"; echo "down $PORT" >>"$LOG"; kill "$server"; wait "$server"; exit 0' TERM
	until envdiscover check tcp "127.0.0.1:$PORT" 2>/dev/null; do sleep 0.05; done
	echo "up $PORT $COLOUR" >>"$LOG"
	touch "$RUN_DIR/www/ready"
	while :; do wait "$server"; done`

// TestRollingRestart changes a value that four replicas follow: each is restarted with the new one, and never are two
// of them down at once.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	needProgram(t, "python3")
	const replicas = 4
	etcd := testservers.EmbeddedEtcd(t)
	url := "ENVDISCOVER_URL=etcd://" + etcd.Address
	put := func(colour string) {
		t.Helper()
		got := run(t, []string{url}, envdiscover, "put", "COLOUR", colour)
		require.Equal(t, 0, got.exitCode, got.stderr)
	}
	put("red")
	environment := script(t, "app.env", []byte("#!/usr/bin/envdiscover\nenv --follow\n"))
	rolling, err := filepath.Abs("rolling")
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "log")
	lines := func() []string {
		text, _ := os.ReadFile(log)
		return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(text)), " ", "-"))
	}
	var all []*harnessProcess
	for range replicas {
		port, dir := testservers.FreePort(t), t.TempDir()
		none := t.TempDir()
		cmd := exec.Command(envharness, "--init", "--socket", filepath.Join(dir, "socket"), "--export", none, "--environment", environment,
			"--timeout", "10m", "--on-change", "exec="+filepath.Join(rolling, "restart"), "--", filepath.Join(rolling, "serve"), "sh", "-c", rollingApp)
		cmd.Env = []string{
			"PATH=" + filepath.Dir(envharness) + ":" + os.Getenv("PATH"), url, "RUN_DIR=" + dir, "ENVIRONMENT=" + environment, "LOG=" + log,
			fmt.Sprintf("PORT=%d", port), fmt.Sprintf("HEALTH_URL=http://127.0.0.1:%d/ready", port),
		}
		all = append(all, startHarness(t, cmd))
	}
	eventually(t, "all serve", func() bool { return len(lines()) == replicas })

	put("green")
	eventually(t, "all serve again", func() bool { return strings.Count(strings.Join(lines(), " "), "green") == replicas })
	restarts := lines()[replicas:]
	require.Len(t, restarts, 2*replicas)
	for i := 0; i < len(restarts); i += 2 {
		port := strings.TrimPrefix(restarts[i], "down-")
		require.Equal(t, []string{"down-" + port, "up-" + port + "-green"}, restarts[i:i+2], "%q", restarts)
	}
	for _, p := range all {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.wait(t), p.stderr.String())
	}
}
