package director_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/exporters/director"
)

func sh(script string, args ...string) director.Program {
	return director.Program{Words: append([]string{"sh", "-c", script, "sh"}, args...), Stderr: os.Stderr}
}

func TestTheProgramsOutputIsTheValue(t *testing.T) {
	in := discovery.Instance{ID: "a", Service: "db", Host: "10.0.0.5", User: "app", Password: "secret"}
	snapshot := discovery.Snapshot{Service: "db", Instances: []discovery.Instance{in}, Revision: "7"}
	for script, want := range map[string]string{
		"cat":                       `{"service":"db","instances":[{"id":"a","service":"db","host":"10.0.0.5","user":"app","password":"secret"}],"revision":"7"}`,
		"true":                      "",
		`printf '\n\n'`:             "",
		`printf ' a\n\r\n b\r\n\n'`: " a\n\r\n b\r",
	} {
		value, err := sh(script).Direct(t.Context(), snapshot)
		require.NoError(t, err, script)
		require.Equal(t, want, string(value), script)
	}
}

// TestWhatHoldsStdoutIsNotWaitedFor: the program has ended, what it left goes on.
func TestWhatHoldsStdoutIsNotWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	value, err := sh(`sleep 1000 & echo $! >"$1"; echo a`, file).Direct(t.Context(), discovery.Snapshot{})
	require.NoError(t, err)
	require.Equal(t, "a", string(value))
	pid := readPID(file)
	require.True(t, runs(pid))
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
}

func readPID(file string) int {
	text, _ := os.ReadFile(file)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// TestTheProgramNeedNotRead a snapshot that is more than a pipe holds.
func TestTheProgramNeedNotRead(t *testing.T) {
	snapshot := discovery.Snapshot{Service: strings.Repeat("x", 1<<20)}
	value, err := sh("exec <&-; echo done").Direct(t.Context(), snapshot)
	require.NoError(t, err)
	require.Equal(t, "done", string(value))
}

func TestTheProgramsFailures(t *testing.T) {
	for script, want := range map[string]string{
		"echo canary; exit 3":     "sh: exit status 3",
		"echo canary; kill -9 $$": "sh: signal: killed",
		"exec yes canary":         "sh: it prints without an end",
	} {
		value, err := sh(script).Direct(t.Context(), discovery.Snapshot{})
		require.EqualError(t, err, want)
		require.Nil(t, value)
	}
	_, err := director.Program{Words: []string{"/not/there"}}.Direct(t.Context(), discovery.Snapshot{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheProgramsTime(t *testing.T) {
	program := sh("echo canary; exec sleep 60")
	program.Timeout = 100 * time.Millisecond
	_, err := program.Direct(t.Context(), discovery.Snapshot{})
	require.EqualError(t, err, "sh: it timed out after 100ms")
}

// TestTheWholeGroupEnds: also what ignores TERM, and what the program has started.
func TestTheWholeGroupEnds(t *testing.T) {
	for name, script := range map[string]string{
		"obedient": `sleep 1000 & echo $! >"$1"; wait`,
		"deaf":     `trap "" TERM; sleep 1000 & echo $! >"$1"; while :; do sleep 1000; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := sh(script, file).Direct(ctx, discovery.Snapshot{})
				ended <- err
			}()
			var pid int
			require.Eventually(t, func() bool {
				pid = readPID(file)
				return pid > 0
			}, patience, 10*time.Millisecond)
			because := errors.New("enough")
			cancel(because)
			require.ErrorIs(t, receive(t, ended), because)
			require.Eventually(t, func() bool { return !runs(pid) }, patience, 10*time.Millisecond)
		})
	}
}

// runs tells whether a process is there, and no zombie that nobody has reaped yet.
func runs(pid int) bool {
	if unix.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
