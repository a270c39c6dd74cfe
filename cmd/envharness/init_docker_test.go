//go:build linux

package main_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// image is busybox, envharness and the probe, nothing else. Its name is this run's alone.
var image = "envharness-init-test-" + strings.ToLower(rand.Text())

// needEngine skips the test where no Docker engine answers.
func needEngine(t *testing.T) {
	t.Helper()
	need(t, "docker", "busybox")
	if output, err := docker("version").CombinedOutput(); err != nil {
		if !skipsAllowed() {
			t.Fatalf("a Docker engine is needed and not here: %s", output)
		}
		t.Skip("a Docker engine is not here")
	}
}

// docker is the client, with an empty configuration.
func docker(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Dir(harnessPath))
	return cmd
}

// importImage makes the image, which is removed when the test has ended.
func importImage(t *testing.T) {
	t.Helper()
	require.NoError(t, buildProbe())
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err)
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	for _, dir := range []string{"tmp", "run"} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}))
	}
	for _, path := range []string{busybox, harnessPath, filepath.Join(filepath.Dir(harnessPath), "probe")} {
		program, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: "bin/" + filepath.Base(path), Mode: 0o755, Size: int64(len(program))}))
		_, err = archive.Write(program)
		require.NoError(t, err)
	}
	for _, name := range []string{"sh", "cat", "sleep", "echo", "id"} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}))
	}
	require.NoError(t, archive.Close())
	load := docker("import", "-", image)
	load.Stdin = &content
	output, err := load.CombinedOutput()
	require.NoError(t, err, "%s", output)
	t.Cleanup(func() {
		// Not by force: a container that is left is told of.
		output, err := docker("image", "rm", image).CombinedOutput()
		require.NoError(t, err, "%s", output)
	})
}

// containers counts those of this test binary, for their names.
var containers atomic.Int64

// container is a service in a container. Its directory is /work there, and its log /work/log.
type container struct {
	*service
	name string
}

// entrypoint are the words that every container starts with.
var entrypoint = []string{"envharness", "--init", "--environment", "/work/environment", "--export", "/work/export"}

// runContainer is docker run of envharness --init with args, and with options for docker.
func runContainer(t *testing.T, files map[string]string, options []string, args ...string) *container {
	t.Helper()
	dir := tree(t, files)
	require.NoError(t, os.Chmod(dir, 0o777))
	name := fmt.Sprintf("%s-%d", image, containers.Add(1))
	words := append([]string{"run", "--name", name, "--network", "none", "--volume", dir + ":/work", "--workdir", "/work", "--log-driver", "none"}, options...)
	words = append(append(append(words, image), entrypoint...), args...)
	cmd := docker(words...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = create(t, dir, "stdout"), create(t, dir, "stderr")
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill() // first, so that it makes no container any more
			cmd.Wait()
		}
		docker("rm", "--force", "--volumes", name).Run()
	})
	return &container{service: &service{t: t, cmd: cmd, dir: dir}, name: name}
}

func (c *container) start() *container {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Start())
	return c
}

// does runs a docker command about the container.
func (c *container) does(verb string, args ...string) {
	c.t.Helper()
	output, err := docker(append(append([]string{verb}, args...), c.name)...).CombinedOutput()
	require.NoError(c.t, err, "%s", output)
}

// becomesReady waits until the harness says so.
func (c *container) becomesReady() {
	c.t.Helper()
	eventually(c.t, "it is ready", func() bool {
		code, _ := c.exec("envharness", "ready")
		return code == 0
	})
}

// exec runs a command in the container, as docker exec does, and gives its exit code and output.
func (c *container) exec(args ...string) (int, string) {
	c.t.Helper()
	cmd := docker(append([]string{"exec", c.name}, args...)...)
	output, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(output)
}

func TestInitInAContainer(t *testing.T) {
	t.Parallel()
	needEngine(t)
	importImage(t)

	t.Run("exit codes", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			args []string
			code int
		}{
			{[]string{"sh", "-c", "exit 0"}, 0},
			{[]string{"sh", "-c", "exit 255"}, 255},
			{[]string{"sh", "-c", "kill -KILL $$"}, 137},
			{[]string{"--expect-exit", "143=0", "sh", "-c", "kill -TERM $$; sleep 1000"}, 0},
			{[]string{"no-such-command"}, 127},
		} {
			runContainer(t, nil, nil, test.args...).start().exits(test.code)
		}
	})

	t.Run("docker stop", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, map[string]string{"export/held": held, "export/teardown": teardown}, nil, "probe", "watch", "-exit", "TERM=7", "log").start()
		c.logs("held start", "start")
		c.does("stop", "--time", "60")
		c.exits(7)
		c.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn", "TERM")
	})

	t.Run("docker kill", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, nil, []string{"--env", "GODEBUG=asyncpreemptoff=1"}, "probe", "watch", "log").start()
		want := []string{"start"}
		c.logs(want...)
		for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGQUIT, 40, 64} {
			c.does("kill", "--signal", strconv.Itoa(int(sig)))
			want = append(want, short(sig))
			c.logs(want...)
		}
		for _, sig := range unforwarded {
			c.does("kill", "--signal", strconv.Itoa(int(sig)))
		}
		c.does("kill", "--signal", "TERM")
		c.exits(0)
		c.logs(append(want, "TERM")...)
	})

	t.Run("deaf", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, nil, nil, "--grace", "4s", "probe", "watch", "-exit", "", "log").start()
		c.logs("start")
		c.does("stop", "--time", "120") // the harness is first
		c.exits(137)
		c.logs("start", "TERM")
	})

	t.Run("orphans", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, nil, nil, "probe", "orphans", "5000").start()
		c.exits(0)
		require.Equal(t, "orphans left: 0\n", c.text("stdout"))
	})

	t.Run("docker exec", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, map[string]string{"export/held": held, "environment/A": "canary\n"}, nil, "probe", "watch", "log").start()
		c.logs("held start", "start")
		asks := func(word string, code int) string {
			t.Helper()
			got, output := c.exec("envharness", word)
			require.Equal(t, code, got, output)
			return output
		}
		asks("ready", 0)
		status := asks("status", 0)
		require.Contains(t, status, `"running"`)
		require.NotContains(t, status, "canary")
		asks("drain", 0)
		c.logs("held start", "start", "held TERM", "held gone")
		asks("ready", 1)
		asks("resume", 0)
		asks("ready", 0)
		c.logs("held start", "start", "held TERM", "held gone", "held start")
		code, output := c.exec("envharness", "ready", "--socket", "/run/other")
		require.Equal(t, 125, code, output)
		c.does("kill", "--signal", "TERM")
		c.exits(0)
	})

	t.Run("as little as can be", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, map[string]string{"export/held": held, "environment/A": "#!/bin/sh\necho first\nprobe notify READY=1\nsleep 1000\n"},
			[]string{"--read-only", "--user", "4242:4343", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"},
			"sh", "-c", `echo "$A"; id -u; exec probe watch log`).start()
		c.logs("held start", "start")
		eventually(t, "the client has passed its output on", func() bool { return c.text("stdout") == "first\n4242\n" })
		require.NotContains(t, c.text("stderr"), "envharness.sock", "it stands in /dev/shm")
		code, output := c.exec("envharness", "ready")
		require.Equal(t, 0, code, output)
		c.does("kill", "--signal", "TERM")
		c.exits(0)
	})

	t.Run("a second harness", func(t *testing.T) {
		t.Parallel()
		for _, first := range [][]string{nil, {"--user", "4242"}} {
			c := runContainer(t, map[string]string{"export/held": held, "export/teardown": teardown}, first, "probe", "watch", "log").start()
			c.logs("held start", "start")
			c.becomesReady()
			for _, user := range []string{"0", "4242", "4343"} {
				output, err := docker(append(append([]string{"exec", "--user", user, c.name}, entrypoint...), "echo", "console")...).CombinedOutput()
				require.NoError(t, err, "%s", output)
				require.Contains(t, string(output), "console\n")
				require.Contains(t, string(output), "another harness runs in this container")
			}
			c.does("kill", "--signal", "TERM")
			c.exits(0)
			c.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn", "TERM")
		}
	})

	t.Run("a refreshed value", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, map[string]string{"environment/A": changing, "A.value": "1\n"}, nil, "--refresh", "100ms", "probe", "watch", "log", "A").start()
		c.logs("start A=1")
		c.set("A", "2")
		c.logs("start A=1", "TERM", "start A=2")
		c.does("kill", "--signal", "TERM")
		c.exits(0)
	})

	t.Run("a terminal", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, nil, []string{"--interactive", "--tty", "--env", "PS1=ready> "}, "sh", "-i")
		screen := openTerminal(t)
		screen.run(c.cmd)
		screen.shows(prompt)
		screen.types(where + " true\n")
		screen.shows(`\nown group\nin front\n`)
		jobControl(screen)
		screen.types("exit 9\n")
		c.exits(9)
		require.NotContains(t, screen.screen(), "job control turned off")
	})

	t.Run("Ctrl-C at a terminal", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, map[string]string{"export/teardown": teardown}, []string{"--interactive", "--tty"}, "probe", "watch", "-exit", "INT=7", "log")
		screen := openTerminal(t)
		screen.run(c.cmd)
		c.logs("start")
		screen.types(interrupt)
		c.exits(7)
		c.logs("start", "INT", "teardown", "withdrawn")
	})
}
