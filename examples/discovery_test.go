package examples_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestDiscovery runs a database that announces itself, and an application that finds it, as processes: with the
// executables in sh, and as scripts for envdiscover.
func TestDiscovery(t *testing.T) {
	for _, kind := range []string{"sh", "script"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			registry := testservers.EmbeddedEtcd(t)
			bin := discoveryPrograms(t)
			directory := discoveryExample(t, kind, filepath.Join(bin, "envdiscover"))
			port := testservers.FreePort(t)
			env := []string{
				"PATH=" + bin + ":" + os.Getenv("PATH"),
				"ENVDISCOVER_URL=etcd://" + registry.Address,
				"CONTAINER_HOST=127.0.0.1",
				"PGHOST=127.0.0.1",
				fmt.Sprintf("PGPORT=%d", port),
				"PASSWORD_FILE=" + filepath.Join(directory, "password"),
			}
			want := whatAppSays(port)

			// The application may come first: it waits.
			app := harnessed(t, env, "--environment", filepath.Join(directory, "environment"), "--", "app")
			db := harnessed(t, env, "--export", filepath.Join(directory, "export"), "--", "app", "serve")
			require.NoError(t, app.wait(t), app.stderr.String())
			require.Equal(t, want, app.stdout.String())

			// When the database ends, it is there no more.
			require.NoError(t, db.cmd.Process.Signal(syscall.SIGTERM))
			_ = db.wait(t)
			require.NotContains(t, db.stderr.String()+app.stderr.String(), "secret")
			require.Eventually(t, func() bool {
				found := run(t, env, filepath.Join(bin, "envdiscover"), "instances", "--all", "db")
				return found.exitCode == 3
			}, time.Minute, 50*time.Millisecond)
		})
	}
}

// TestDiscoveryFromScratch builds the images of discovery/Dockerfile and runs them on this machine's network.
func TestDiscoveryFromScratch(t *testing.T) {
	needEngine(t)
	registry := testservers.EmbeddedEtcd(t)
	dir := discoveryImageContext(t)
	image := func(target string) string {
		name := fmt.Sprintf("envharness-discovery-test-%s-%d", target, os.Getpid())
		got := docker(t, "build", "--file", filepath.Join(dir, "examples/discovery/Dockerfile"), "--target", target, "--tag", name, dir)
		require.Equal(t, 0, got.exitCode, "%s%s", got.stdout, got.stderr)
		t.Cleanup(func() { docker(t, "image", "rm", "--force", name) })
		return name
	}
	db, app := image("db"), image("app")
	port := testservers.FreePort(t)
	options := []string{
		"--network", "host", "--read-only",
		"--env", "ENVDISCOVER_URL=etcd://" + registry.Address,
		"--env", "CONTAINER_HOST=127.0.0.1",
	}
	started := docker(t, append(append([]string{"run", "--detach"}, options...),
		"--env", "PGHOST=127.0.0.1", "--env", fmt.Sprintf("PGPORT=%d", port),
		"--volume", filepath.Join(dir, "password")+":/run/secrets/password:ro", db)...)
	require.Equal(t, 0, started.exitCode, started.stderr)
	container := strings.TrimSpace(started.stdout)
	t.Cleanup(func() { docker(t, "rm", "--force", container) })

	got := docker(t, append(append([]string{"run", "--rm"}, options...), app)...)
	require.Equal(t, 0, got.exitCode, "%s\n%s", got.stderr, docker(t, "logs", container).stderr)
	require.Equal(t, whatAppSays(port), got.stdout)
}

// whatAppSays is what the application prints of a database on loopback.
func whatAppSays(port int) string {
	return fmt.Sprintf("the database is postgresql://pgdeveloper:pg%%2Fsecret@127.0.0.1:%[1]d/app\nit answers: welcome at 127.0.0.1:%[1]d\n", port)
}

// discoveryPrograms gives a directory with app beside the programs under test.
func discoveryPrograms(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, build(filepath.Join(bin, "app"), "./discovery/app"))
	for _, program := range []string{envharness, envdiscover} {
		require.NoError(t, os.Symlink(program, filepath.Join(bin, filepath.Base(program))))
	}
	return bin
}

// discoveryExample copies one kind of the example, with this interpreter for /usr/bin/envdiscover, and a password.
func discoveryExample(t *testing.T, kind, interpreter string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"export/db", "environment/DATABASE_URL"} {
		text, err := os.ReadFile(filepath.Join("discovery", kind, name))
		require.NoError(t, err)
		if kind == "script" {
			require.True(t, bytes.HasPrefix(text, []byte("#!/usr/bin/envdiscover\n")))
			text = bytes.Replace(text, []byte("/usr/bin/envdiscover"), []byte(interpreter), 1)
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("pg/secret\n"), 0o600))
	return dir
}

// discoveryImageContext is what the Dockerfile copies from.
func discoveryImageContext(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, build(filepath.Join(dir, "bin/app"), "./discovery/app"))
	copyFile(t, envharness, filepath.Join(dir, "bin/envharness"), 0o755)
	copyFile(t, envdiscover, filepath.Join(dir, "bin/envdiscover"), 0o755)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples/discovery"), os.DirFS("discovery")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("pg/secret\n"), 0o644))
	return dir
}

// harnessProcess is a command under the harness.
type harnessProcess struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{}
	err            error
}

// harnessed starts a command under the harness; it is ended with the test.
func harnessed(t *testing.T, env []string, args ...string) *harnessProcess {
	t.Helper()
	none := t.TempDir()
	cmd := exec.Command(envharness, append([]string{"--environment", none, "--export", none}, args...)...)
	cmd.Env = env
	return startHarness(t, cmd)
}

// startHarness starts a command line of the harness; it is ended with the test.
func startHarness(t *testing.T, cmd *exec.Cmd) *harnessProcess {
	t.Helper()
	p := &harnessProcess{cmd: cmd, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = 2 * time.Minute // a grandchild that keeps the output does not keep the test
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the harness and all that it started, of which each may have the output that the end waits for.
func (p *harnessProcess) kill() {
	select {
	case <-p.ended:
		return
	default:
	}
	killTree(p.cmd.Process.Pid)
	<-p.ended
}

// killTree ends a process and its descendants. Each is stopped before its children are looked for, so that it neither
// sees them go nor starts more.
func killTree(pid int) {
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	for _, child := range childrenOf(pid) {
		killTree(child)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// wait waits until the command has ended and all that it started has closed its output.
func (p *harnessProcess) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the command does not end")
	}
	return p.err
}

// die ends the harness at once, and its command and exporter, which would have gone with their container.
func (p *harnessProcess) die(t *testing.T) {
	t.Helper()
	children := childrenOf(p.cmd.Process.Pid)
	require.Len(t, children, 2)
	for _, pid := range append(children, p.cmd.Process.Pid) {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP)) // none of them is to see another go
	}
	for _, pid := range append(children, p.cmd.Process.Pid) {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	_ = p.wait(t)
}

// childrenOf asks the kernel, which lists them by the thread that has started them.
func childrenOf(pid int) []int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var children []int
	for _, list := range lists {
		text, _ := os.ReadFile(list) // of a thread that has ended there is none
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
