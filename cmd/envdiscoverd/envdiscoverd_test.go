package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
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

const (
	patience = time.Minute
	tick     = 50 * time.Millisecond // between two looks
)

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
		require.LessOrEqual(t, len([]rune(line)), 80, line)
	}
	line := commandLine()
	require.NoError(t, line.Check())
	for _, topic := range topics() {
		code, page, _ := outcome("--help", topic.Name)
		require.Equal(t, 0, code)
		for _, o := range line.Table(line.Main) {
			require.Equal(t, o.Topic == topic.Name, strings.Contains(page, "  --"+o.Name+" ") || strings.Contains(page, "  --"+o.Name+","), o.Name)
			require.Equal(t, o.Topic == "", strings.Contains(stdout, "  --"+o.Name+" "), o.Name)
		}
	}
	code, _, stderr = outcome("--help", "dokcer")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, `no help on "dokcer"`)
	require.Contains(t, stderr, "did you mean docker?")
	code, stdout, _ = outcome("--version")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "envdiscoverd devel")
}

func TestMistakes(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	sockets := t.TempDir()
	require.NoError(t, os.Chmod(sockets, 0o755))
	for name, test := range map[string]struct {
		args []string
		code int
		say  string
	}{
		"unknown option": {[]string{"--nope"}, exitUsage, "unknown option --nope"},
		"argument":       {[]string{"extra"}, exitUsage, `unexpected argument "extra"`},
		"no such help":   {[]string{"--help", "me"}, exitUsage, `no help on "me"`},
		"without docker": {[]string{"--realm", "x"}, exitUsage, "--realm is for --docker"},
		"unreachable":    {[]string{"--docker", "--data", data, "--listen", "unix:" + sockets + "/s"}, exitFailure, "hint: add --listen"},
		"log level":      {[]string{"--log-level", "loud"}, exitUsage, "unknown log level"},
		"open to all":    {[]string{"--data", data, "--listen", "0.0.0.0:0"}, exitFailure, "hint: add it, or say --insecure"},
		"no directory":   {[]string{"--data", "/proc/nothing", "--listen", "127.0.0.1:0"}, exitFailure, "cannot open the data in /proc/nothing"},
		"open directory": {[]string{"--data", sockets, "--listen", "127.0.0.1:0"}, exitFailure, "hint: if it is for nothing else: chmod 700 " + sockets},
		"unknown engine": {[]string{"--etcd", "ftp://x", "--listen", "127.0.0.1:0"}, exitUsage, "unknown engine"},
		"data and etcd":  {[]string{"--data", data, "--etcd", "etcd://x", "--listen", "127.0.0.1:0"}, exitUsage, "either"},
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
	state, sockets := filepath.Join(t.TempDir(), "state"), t.TempDir()
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
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(sockets, "s"))
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

// TestStopWhileStarting: TERM is no failure, whenever it comes.
func TestStopWhileStarting(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stopped := 0
	for i := 0; i < 15 || stopped == 0; i++ { // also when a busy machine takes longer to begin
		var stderr strings.Builder
		cmd := command("--data", data, "--listen", "127.0.0.1:0")
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(i) * 10 * time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, status.Exited() && status.ExitStatus() == 0 || status.Signaled() && status.Signal() == syscall.SIGTERM, "%v: %s", cmd.ProcessState, &stderr)
		require.NotContains(t, stderr.String(), "error")
		if status.Exited() {
			stopped++
		}
	}
}

// TestDamagedData: a file that is not as it was is named in one line, and what to do in another.
func TestDamagedData(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	address := testservers.FreeAddress(t)
	stop := serving(t, data, address)
	put(t, address, "A", "x")
	stop()
	logs, err := filepath.Glob(data + "/etcd/member/wal/*.wal")
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.NoError(t, os.Truncate(logs[0], 300))
	code, _, stderr := outcome("--data", data, "--listen", address)
	require.Equal(t, exitFailure, code)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	require.Len(t, lines, 2, stderr)
	require.Contains(t, lines[0], logs[0]+" is damaged")
	require.Contains(t, lines[1], "hint: restore the last snapshot")
}

// TestDocker announces a container in the registry that is in the same process.
func TestDocker(t *testing.T) {
	if exec.Command("docker", "version").Run() != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, and start it")
	}
	busybox, err := os.Open("/bin/busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	defer busybox.Close()
	name := fmt.Sprintf("envharness-envdiscoverd-test-%d", os.Getpid())
	program(t, packed(t, busybox), "docker", "import", "-", name)
	t.Cleanup(func() { program(t, nil, "docker", "image", "rm", "--force", name) })
	program(t, nil, "docker", "run", "--detach", "--name", name, "--env", "SAYS="+name+":8080", "--publish", "8080", name, "/busybox", "sleep", "3600")
	t.Cleanup(func() { program(t, nil, "docker", "rm", "--force", name) })

	address := testservers.FreeAddress(t)
	process := testservers.StartProcess(t, "envdiscoverd", func() *exec.Cmd {
		return command("--docker", "--variable", "SAYS", "--docker-allow", name, "--host-ip", "10.0.0.5", "--host-id", name, "--realm", name, "--data", filepath.Join(t.TempDir(), "data"), "--listen", address)
	}, func() error { return get("http://"+address+"/readyz", nil) })
	require.NotNil(t, process)
	var body string
	require.Eventually(t, func() bool {
		return get("http://"+address+"/services/"+name, &body) == nil && strings.Contains(body, `"host":"10.0.0.5"`)
	}, patience, 50*time.Millisecond)
	require.Contains(t, body, `"container":"`+name+`"`)
}

func program(t *testing.T, stdin io.Reader, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = stdin
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
}

// packed is an archive with a file as /busybox.
func packed(t *testing.T, file *os.File) io.Reader {
	t.Helper()
	content, err := io.ReadAll(file)
	require.NoError(t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "busybox", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return &archive
}

func get(url string, body *string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	if body != nil {
		*body = string(text)
	}
	return err
}
