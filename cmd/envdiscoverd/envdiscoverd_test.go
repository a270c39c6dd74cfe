package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// mainVariable tells this test binary that it is envdiscoverd.
const mainVariable = "ENVHARNESS_TEST_ENVDISCOVERD"

const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), mainVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// outcome runs envdiscoverd to its end.
func outcome(args ...string) (code int, stdout, stderr string) {
	cmd := command(args...)
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func TestHelp(t *testing.T) {
	code, stdout, stderr := outcome("--help")
	require.Equal(t, 0, code)
	require.Empty(t, stderr)
	require.LessOrEqual(t, strings.Count(stdout, "\n"), 24)
	for line := range strings.SplitSeq(stdout, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 100, line)
	}
	for _, flag := range allFlags() {
		require.Contains(t, stdout, "--"+flag.Names()[0])
	}
	code, stdout, _ = outcome("--version")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "envdiscoverd devel")
}

func TestMistakes(t *testing.T) {
	data := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		code int
		say  string
	}{
		"unknown option": {[]string{"--nope"}, exitUsage, "unknown option --nope"},
		"argument":       {[]string{"extra"}, exitUsage, `unexpected argument "extra"`},
		"log level":      {[]string{"--log-level", "loud"}, exitUsage, "unknown log level"},
		"open to all":    {[]string{"--data", data, "--listen", "0.0.0.0:0"}, exitFailure, "hint: add it, or say --insecure"},
		"no directory":   {[]string{"--data", "/proc/nothing", "--listen", "127.0.0.1:0"}, exitFailure, "cannot open the data in /proc/nothing"},
		"unknown engine": {[]string{"--etcd", "ftp://x", "--listen", "127.0.0.1:0"}, exitFailure, "unknown engine"},
		"data and etcd":  {[]string{"--data", data, "--etcd", "etcd://x", "--listen", "127.0.0.1:0"}, exitFailure, "either"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := outcome(test.args...)
			require.Equal(t, test.code, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.say)
			require.Contains(t, stderr, "envdiscoverd: error: ")
			require.NotContains(t, stderr, "goroutine ")
		})
	}
}

// TestService is what systemd does: it waits for READY, finds what was kept, and stops it by TERM.
func TestService(t *testing.T) {
	state, sockets := t.TempDir(), t.TempDir()
	notify := filepath.Join(sockets, "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	require.NoError(t, err)
	defer told.Close()
	hear := func(want string) {
		t.Helper()
		message := make([]byte, 256)
		require.NoError(t, told.SetReadDeadline(time.Now().Add(patience)))
		n, err := told.Read(message)
		require.NoError(t, err)
		require.Equal(t, want, string(message[:n]))
	}
	address := testservers.FreeAddress(t)
	for round := range 2 {
		cmd := command("--listen", "unix:"+filepath.Join(sockets, "s"))
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify, "STATE_DIRECTORY="+state, "ENVDISCOVERD_LISTEN="+address, "ENVDISCOVERD_LOG_FORMAT=json")
		if round == 1 {
			cmd.Args = cmd.Args[:1] // the variable counts where the option is left out
		}
		stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		require.NoError(t, err)
		cmd.Stderr = stderr
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		hear("READY=1")
		if round == 0 {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) {
				return net.Dial("unix", filepath.Join(sockets, "s"))
			}}}
			response, err := client.Post("http://x/environment/KEPT", "", strings.NewReader("canary"))
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, 204, response.StatusCode)
		} else {
			response, err := http.Get("http://" + address + "/environment/KEPT")
			require.NoError(t, err)
			value, err := io.ReadAll(response.Body)
			response.Body.Close()
			require.NoError(t, err)
			require.Equal(t, "canary", string(value))
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		hear("STOPPING=1")
		require.NoError(t, cmd.Wait())
		text, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		require.Contains(t, string(text), `"msg":"stopped"`)
		require.NotContains(t, string(text), "canary")
	}
}

// TestUnit lets systemd read the unit, with the binary where the unit says.
func TestUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testservers.Missing(t, "systemd-analyze", "apt-get install systemd")
	}
	unit, err := os.ReadFile("../../examples/envdiscoverd/envdiscoverd.service")
	require.NoError(t, err)
	const installed = "/usr/local/bin/envdiscoverd"
	require.Contains(t, string(unit), "ExecStart="+installed)
	path := filepath.Join(t.TempDir(), "envdiscoverd.service")
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(unit), "ExecStart="+installed, "ExecStart="+os.Args[0])), 0o644))
	text, err := exec.Command(verify, "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.NotContains(t, string(text), "Unknown")
	require.NotContains(t, string(text), "envdiscoverd.service:")
}

func TestCompose(t *testing.T) {
	compose, err := exec.LookPath("docker-compose")
	if err != nil {
		testservers.Missing(t, "docker-compose", "apt-get install docker-compose")
	}
	text, err := exec.Command(compose, "-f", "../../examples/envdiscoverd/docker-compose.yml", "config").CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), "network_mode: host")
}
