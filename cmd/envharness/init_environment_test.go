//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestValidity: a value that is good for a time is resolved again before that, alone.
func TestValidity(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": strings.TrimSuffix(changing, "\n") + " || exit 1\nenvharness notify VALID_USEC=200000\n", "A.value": "1\n",
			"environment/B": changing, "B.value": "b\n",
		}), "probe", "watch", "log", "A", "B")
		s.logs("start A=1 B=b")
		s.set("A", "2")
		s.set("B", "other")
		s.logs("start A=1 B=b", "TERM", "start A=2 B=b")

		// One that fails keeps its value, and is tried again.
		require.NoError(t, os.Remove(s.path("A.value")))
		s.tells(`(?m)^envharness: warn.*could not be renewed.*environment/A`)
		names := s.status()["names"].([]any)
		a, b := names[0].(map[string]any), names[1].(map[string]any)
		require.NotEmpty(t, a["failed"])
		require.NotEmpty(t, a["next"])
		require.NotContains(t, b, "failed")
		require.NotContains(t, b, "next")
		s.set("A", "3")
		s.logs("start A=1 B=b", "TERM", "start A=2 B=b", "TERM", "start A=3 B=b")
		require.Equal(t, 1, count(lines(s.path("runs")), "B"))
		s.stop()
	})
}

// TestSetsChange: sets are refreshed, held and renewed as any executable, and a name that goes is unset.
func TestSetsChange(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("refreshed", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"environment/s.json": changing, "s.json.value": `{"A": 1, "B": "b"}` + "\n",
			}), "--refresh", "50ms", "probe", "watch", "log", "A", "B")
			s.logs("start A=1 B=b")
			s.set("s.json", `{"B": 2}`)
			s.logs("start A=1 B=b", "TERM", "start A= B=2")
			s.set("s.json", `{"B": {"x": "c4n4ry"}}`)
			s.tells(`(?m)^envharness: warn.*s\.json: B: is an object`)
			require.Len(t, s.log(), 3)
			require.NotContains(t, s.text("stderr"), "c4n4ry")
			s.stop()
		})
		t.Run("held", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"environment/s.env": "#!/bin/sh\nprintf 'A=1\\nB=b\\n'\nenvharness notify READY=1\nuntil [ -e go ]; do sleep 0.02; done\nprintf 'A=2\\n'\nenvharness notify READY=1\nsleep 1000 & wait\n",
				"environment/B":     "own\n",
			}), "probe", "watch", "log", "A", "B")
			s.logs("start A=1 B=own")
			s.touch("go")
			s.logs("start A=1 B=own", "TERM", "start A=2 B=own")
			require.Len(t, s.status()["names"], 2)
			s.stop()
		})
	})
}

// TestOnChangeExec: COMMAND goes on, and PATH runs with the new values until it succeeds.
func TestOnChangeExec(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": changing, "A.value": "1\n",
			"reload": "#!/bin/sh\n[ ! -e broken ] || exit 3\necho \"reload $A\" >>log\n",
		}), "--refresh", "20ms", "--on-change", "exec=./reload", "--change-delay", "10ms", "probe", "watch", "log", "A")
		s.logs("start A=1")
		s.set("A", "2")
		s.logs("start A=1", "reload 2")
		s.touch("broken")
		s.set("A", "3")
		s.tells(`(?m)^envharness: warn.*reload: exit status 3`)
		require.NoError(t, os.Remove(s.path("broken")))
		s.logs("start A=1", "reload 2", "reload 3")
		s.stop()
	})
	t.Run("not there", func(t *testing.T) {
		result := outside.quick(t, tree(t, nil), "--on-change", "exec=./nowhere", "touch", "ran")
		require.Equal(t, 125, result.code)
		require.Contains(t, result.stderr, "--on-change exec=./nowhere: cannot be executed")
	})
}

// TestChangeDelay: what follows a change waits, and does follow.
func TestChangeDelay(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}),
		"--refresh", "20ms", "--change-delay", "300ms", "probe", "watch", "log", "A")
	s.logs("start A=1")
	s.set("A", "2")
	s.logs("start A=1", "TERM", "start A=2")
	s.stop()
	slow := outside.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}),
		"--refresh", "20ms", "--change-delay", "1000h", "--write", "env", "probe", "watch", "log", "A")
	slow.logs("start A=1")
	slow.set("A", "2")
	eventually(t, "the file is current", func() bool { return slow.written()["A"] == "2" })
	slow.refreshed("A", 20)
	require.Equal(t, []string{"start A=1"}, slow.log())
	slow.stop()
}

// TestFilesChange: a value in a file is replaced there, and is a change.
func TestFilesChange(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"})
	s := outside.start(t, dir, "--refresh", "20ms", "--as-file", "A", "--files", filepath.Join(dir, "files"),
		"--on-change", "signal=USR1", "probe", "watch", "log", "A", "A_FILE")
	s.logs("start A= A_FILE=" + filepath.Join(dir, "files/A"))
	require.Equal(t, "1", s.text("files/A"))
	s.set("A", "2")
	s.logsLine("USR1", 1)
	require.Equal(t, "2", s.text("files/A"))
	s.stop()
}

// TestStatusForgetsNames: of a name that nothing gives any more nothing is told, and nothing kept.
func TestStatusForgetsNames(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, map[string]string{"environment/s.json": `{"A":"a","B":"b"}`, "next.json": `{"A":"a","C":"c"}`}),
		"--refresh", "50ms", "--on-change", "none", "probe", "watch", "log")
	s.logs("start")
	names := func() string {
		told := ""
		for _, entry := range s.status()["names"].([]any) {
			told += entry.(map[string]any)["name"].(string)
		}
		return told
	}
	require.Equal(t, "AB", names())
	require.NoError(t, os.Rename(s.path("next.json"), s.path("environment/s.json")))
	eventually(t, "C is told in B's place", func() bool { return names() == "AC" })
	s.signal(unix.SIGTERM)
	s.exits(0)
}

// TestStatusTells: how long COMMAND runs, how often it was started again, and all of it for Prometheus.
func TestStatusTells(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"environment/A": changing, "A.value": "1\n", "export/held": held})
	s := outside.start(t, dir,
		"--refresh", "50ms", "probe", "watch", "log", "A")
	s.logs("held start", "start A=1")
	s.set("A", "2")
	s.logs("held start", "start A=1", "TERM", "start A=2")
	status := s.status()
	require.EqualValues(t, 1, status["restarts"])
	since, err := time.Parse(time.RFC3339Nano, status["since"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), since, time.Hour)
	require.NotEmpty(t, status["names"].([]any)[0].(map[string]any)["next"])
	metrics := run(t, harness(t, dir, "status", "--format", "prometheus", "--socket", "control"))
	require.Equal(t, 0, metrics.code)
	require.Regexp(t, `(?m)^envharness_phase\{phase="running"\} 1$`, metrics.stdout)
	require.Regexp(t, `(?m)^envharness_command_restarts_total 1$`, metrics.stdout)
	require.Regexp(t, `(?m)^envharness_next_refresh_time_seconds\{name="A"\} [1-9]`, metrics.stdout)
	require.Regexp(t, `(?m)^envharness_exporter_up\{path="export/held"\} 1$`, metrics.stdout)
	s.signal(unix.SIGTERM)
	s.exits(0)
}
