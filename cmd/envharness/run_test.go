package main_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds what a test waits for: far more than a busy machine needs.
const patience = time.Minute

// outcome is how a process ended, and what it wrote.
type outcome struct {
	code           int            // -1 when a signal ended it
	signal         syscall.Signal // 0 when it exited
	stdout, stderr string
}

// tree writes files, name to content, into a new directory; what begins with #! becomes executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
}

// command is a program in dir that is killed when the test ends before it; its output goes to buffers.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	// A test that fails may leave someone who holds the output open.
	cmd.WaitDelay = patience
	return cmd
}

// harness is envharness with args, started in dir.
func harness(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, dir, harnessPath, args...)
}

// plainEnviron is the environment without variables of envharness, as those that the tests themselves are told by.
func plainEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "ENVHARNESS_") })
}

// run runs cmd to its end.
func run(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	require.NoError(t, cmd.Start())
	return wait(t, cmd)
}

// wait waits for cmd, which was started.
func wait(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	result := outcome{code: cmd.ProcessState.ExitCode()}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		result.signal = status.Signal()
	}
	if buffer, ok := cmd.Stdout.(*bytes.Buffer); ok {
		result.stdout = buffer.String()
	}
	if buffer, ok := cmd.Stderr.(*bytes.Buffer); ok {
		result.stderr = buffer.String()
	}
	return result
}

// succeeds runs cmd, which must exit 0, and gives its stdout.
func succeeds(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	result := run(t, cmd)
	require.Equal(t, 0, result.code, "%v: %s", cmd.Args, result.stderr)
	return result.stdout
}

// eventually waits until what is said is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	require.True(t, reaches(so), "still not: %s", what)
}

// reaches waits until something is so, and tells whether it came to be. What takes long is asked for less often: many
// tests wait at the same time, and asking takes the processor from what they wait for.
func reaches(so func() bool) bool {
	for begin := time.Now(); !so(); {
		waited := time.Since(begin)
		if waited > patience {
			return false
		}
		time.Sleep(min(2*time.Millisecond+waited/10, 50*time.Millisecond))
	}
	return true
}

// appears waits until a file is there and not empty, and gives its content.
func appears(t *testing.T, path string) string {
	t.Helper()
	var content []byte
	eventually(t, path+" is written", func() bool {
		content, _ = os.ReadFile(path)
		return len(content) > 0
	})
	return strings.TrimSpace(string(content))
}

// pidIn reads a process id from the file that a script writes it to, once it has.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid, err := strconv.Atoi(appears(t, path))
	require.NoError(t, err)
	return pid
}

// statusOf is field Name of /proc/PID/status, "" for no such process.
func statusOf(pid int, name string) string {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return ""
	}
	return field(string(content), name)
}

// field is the value of "Name:" in the text of a /proc/PID/status.
func field(status, name string) string {
	_, rest, _ := strings.Cut("\n"+status, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// dead tells whether there is no such process, or only what is left of one for its parent to see.
func dead(pid int) bool {
	state := statusOf(pid, "State")
	return state == "" || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// processes are the ids of all processes.
func processes(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// nothingLives waits until no process with mark is left: one that was killed is dead a moment later.
func nothingLives(t *testing.T, mark string) {
	t.Helper()
	eventually(t, "nothing is left of "+mark, func() bool { return len(living(t, mark)) == 0 })
}

// living are the processes that were started with mark, NAME=VALUE, in their environment.
func living(t *testing.T, mark string) []int {
	t.Helper()
	var found []int
	for _, pid := range processes(t) {
		environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+mark+"\x00")) && !dead(pid) {
			found = append(found, pid)
		}
	}
	return found
}
