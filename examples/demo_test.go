package examples_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
)

// The two ways in which the demo tells of discovery.
var demoKinds = map[string][]string{"processes": {"--processes"}, "containers": nil}

// TestDemo checks what the demo said, and that nothing of it is left.
func TestDemo(t *testing.T) {
	for kind, options := range demoKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, kind, options)
			require.Equal(t, 0, d.wait(t), d.said())
			said := d.said()
			for _, part := range []string{
				"is the command, with:\n",
				"\nPAYPAL_CLIENT_SECRET=not-secret-developer-sandbox\n",
				"would announce a database at ",
				"(exit code 125)",
				"\nenvdiscoverd: info: serving (address 127.0.0.1:",
				"\ndb-",
				"\tpassing\t",
				"\n(exit code 3)\n",
			} {
				require.Contains(t, said, part)
			}
			require.NotContains(t, said, "\nnever printed")
			require.NotContains(t, said, "warning")
			require.Equal(t, kind == "containers", strings.Contains(said, "\n$ docker run "), said)

			_, moved, found := strings.Cut(said, "\n9. ")
			require.True(t, found)
			databases := linesWith(moved, "the database is postgresql://pgdeveloper:pgdeveloper@")
			answers := linesWith(moved, "it answers: welcome at ")
			require.Len(t, databases, 2, said)
			require.Len(t, answers, 2, said)
			require.NotEqual(t, databases[0], databases[1])
			for i := range databases {
				require.Contains(t, databases[i], "@"+strings.TrimPrefix(answers[i], "it answers: welcome at ")+"/")
			}
			d.leavesNothing(t)
		})
	}
}

// TestDemoInterrupted is Ctrl-C, which the terminal sends to all that runs in it.
func TestDemoInterrupted(t *testing.T) {
	for kind, options := range demoKinds {
		for _, at := range []string{"\n7. ", "\n9. "} {
			t.Run(kind+at[1:3], func(t *testing.T) {
				t.Parallel()
				d := startDemo(t, kind, options)
				d.waitFor(t, at)
				require.NoError(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
				require.Equal(t, 130, d.wait(t), d.said())
				require.NotContains(t, d.said(), "Next: ")
				d.leavesNothing(t)
			})
		}
	}
}

// TestDemoPage: the registry's page is there until Ctrl-C.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "processes", []string{"--processes", "--page"})
	d.waitFor(t, "until you press Ctrl-C: http://")
	_, address, _ := strings.Cut(d.said(), "until you press Ctrl-C: ")
	address, _, _ = strings.Cut(address, "\n")
	response, err := http.Get(address)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	require.Equal(t, 130, d.wait(t), d.said())
	d.leavesNothing(t)
}

// TestDemoFails: what does not work is told, and the exit code says so.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	for _, program := range []string{envharness, envdiscoverd(t)} {
		require.NoError(t, os.Symlink(program, filepath.Join(bin, filepath.Base(program))))
	}
	writeProgram(t, filepath.Join(bin, "envdiscover"), "#!/bin/sh\necho canary of $1; exit 5\n")
	d := startDemoOf(t, bin, "processes", []string{"--processes"})
	require.Equal(t, 5, d.wait(t), d.said())
	require.Contains(t, d.said(), "\ncanary of wait\n")
	require.Contains(t, d.said(), "registry.log <==", "what is in the background is shown")
	require.NotContains(t, d.said(), "Next: ")
	d.leavesNothing(t)
}

// demo is a run of scripts/demo in a process group of its own.
type demo struct {
	cmd       *exec.Cmd
	temporary string
	ended     chan struct{}
	err       error

	output safebuffer.Buffer
}

func (d *demo) said() string { return d.output.String() }

func startDemo(t *testing.T, kind string, options []string) *demo {
	t.Helper()
	envdiscoverd(t)
	return startDemoOf(t, filepath.Dir(envharness), kind, options)
}

func startDemoOf(t *testing.T, bin, kind string, options []string) *demo {
	t.Helper()
	if kind == "containers" {
		needEngine(t)
	}
	d := &demo{temporary: t.TempDir(), ended: make(chan struct{})}
	d.cmd = exec.Command("../scripts/demo", append(options, bin)...)
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.temporary, "DOCKER_BUILDKIT=0")
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, d.cmd.Start())
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGTERM); <-d.ended })
	return d
}

// wait gives the exit code, once the demo and all that writes for it has ended.
func (d *demo) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(4 * time.Minute):
		t.Fatal("the demo does not end: ", d.said())
	}
	if exit := (*exec.ExitError)(nil); d.err != nil && !errors.As(d.err, &exit) {
		require.NoError(t, d.err)
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *demo) waitFor(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(d.said(), text) }, 3*time.Minute, 10*time.Millisecond)
}

// leavesNothing looks for what the demo made: files, processes and what the engine has.
func (d *demo) leavesNothing(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(d.temporary)
	require.NoError(t, err)
	require.Empty(t, entries)

	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	require.NotEmpty(t, processes)
	for _, path := range processes {
		eventually(t, "the end of "+path, func() bool { // what was killed may still be on its way
			environment, _ := os.ReadFile(path) // gone meanwhile, or somebody else's
			return !bytes.Contains(environment, []byte("TMPDIR="+d.temporary))
		})
	}
	if exec.Command("docker", "version").Run() != nil {
		return
	}
	name := fmt.Sprintf("envdemo-%d", d.cmd.Process.Pid)
	for _, list := range [][]string{
		{"ps", "--all", "--filter", "name=" + name},
		{"image", "ls", "--all", "--filter", "reference=" + name + "-*"},
		{"network", "ls", "--filter", "name=" + name},
	} {
		got := docker(t, append(list, "--quiet")...)
		require.Equal(t, result{}, got, list)
	}
}

func linesWith(text, start string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
