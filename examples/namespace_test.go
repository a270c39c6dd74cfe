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

	"github.com/envharness/envharness/internal/safebuffer"
)

// patience is how long a busy machine gets for what takes a moment on an idle one.
const patience = time.Minute

// unshare is the start of a command line that gives a command namespaces of its own,
// chosen by options of unshare(1).
func unshare(t *testing.T, options ...string) []string {
	t.Helper()
	needProgram(t, "unshare")
	words := append([]string{"unshare"}, options...)
	if os.Geteuid() != 0 {
		words = append(words, "--map-root-user")
	}
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		missing(t, "the right to make namespaces", fmt.Sprintf("run as root, or allow user namespaces (%s)", bytes.TrimSpace(out)))
	}
	return words
}

// pidOne is a harness with --init that runs as PID 1 of a PID namespace, as in a container.
type pidOne struct {
	t       *testing.T
	command *exec.Cmd // unshare, whose one child is the harness
	socket  string
	output  safebuffer.Buffer // stdout and stderr, once it has ended
	ended   chan struct{}
}

// startPidOne starts one with PATH and env as its environment; args are what comes
// after --init. The test's end kills what is left of it.
func startPidOne(t *testing.T, env []string, args ...string) *pidOne {
	t.Helper()
	words := unshare(t, "--pid", "--fork", "--kill-child", "--mount-proc")
	p := &pidOne{t: t, socket: filepath.Join(t.TempDir(), "socket"), ended: make(chan struct{})}
	words = append(append(words, envharness, "--init", "--socket", p.socket), args...)
	p.command = exec.Command(words[0], words[1:]...)
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	require.NoError(t, p.command.Start())
	go func() {
		defer close(p.ended)
		p.command.Wait()
	}()
	t.Cleanup(func() {
		p.command.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the harness and its command printed:\n%s", p.output.String())
		}
	})
	return p
}

// ask runs envharness ready and its like.
func (p *pidOne) ask(request string) result {
	p.t.Helper()
	return run(p.t, nil, envharness, request, "--socket", p.socket)
}

// stop sends what docker stop sends.
func (p *pidOne) stop() {
	p.t.Helper()
	parent := p.command.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	require.NoError(p.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	require.NoError(p.t, err, "unshare has one child")
	require.NoError(p.t, syscall.Kill(pid, syscall.SIGTERM))
}

// exitCode waits for the end.
func (p *pidOne) exitCode() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		require.Fail(p.t, "the harness did not end")
	}
	return p.command.ProcessState.ExitCode()
}

// eventually waits until something has come about.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "waited in vain: %s", what)
	}
}
