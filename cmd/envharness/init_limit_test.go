//go:build linux

package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pidsCgroup makes a cgroup whose processes and threads can be limited: of cgroup v2 or of v1.
func pidsCgroup(t *testing.T) string {
	t.Helper()
	need(t, "root")
	for _, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dir := filepath.Join(root, fmt.Sprintf("envharness-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { reaches(func() bool { return os.Remove(dir) == nil }) })
		if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
			return dir
		}
	}
	t.Skip("no cgroup limits processes here")
	return ""
}

// TestPidsLimit: where nothing can be started and no thread made, the harness forwards, answers, reaps and stops.
func TestPidsLimit(t *testing.T) {
	t.Parallel()
	group := pidsCgroup(t)
	// COMMAND takes what the limit leaves as soon as it starts, so that no thread is made while there still is room.
	crowd := fmt.Sprintf("#!/bin/bash\necho $$ >%s/cgroup.procs; echo $PPID >%[1]s/cgroup.procs\necho 1 >%[1]s/pids.max\ntrap 'echo HUP >>log' HUP\ntrap 'exit 3' TERM\necho start >>log\nwhile :; do read -t 1000 <>fifo; done\n", group)
	for name, c := range map[string]struct {
		files   map[string]string
		options []string
		told    string // of what cannot be started
	}{
		"all there is":    {map[string]string{"environment/A": "#!/bin/sh\necho a\n", "export/held": held}, []string{"--refresh", "50ms"}, "refresh failed"},
		"nothing repeats": {map[string]string{"environment/A": "#!/bin/sh\necho a\n", "export/teardown": teardown}, nil, "teardown"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, c.files)
			write(t, filepath.Join(dir, "crowd"), crowd)
			require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
			s := outside.start(t, dir, append(c.options, "./crowd")...)
			s.logsLine("start", 1)
			for i := range 20 {
				s.signal(unix.SIGHUP)
				s.logsLine("HUP", i+1)
				s.answers("status", 0)
			}
			s.answers("drain", 0)
			eventually(t, "what cannot be started is told", func() bool { return strings.Contains(s.text("stderr"), c.told) })
			s.signal(unix.SIGTERM)
			s.exits(3)
			require.NotContains(t, s.text("stderr"), "newosproc")
		})
	}
}

// TestThreadsAreMadeAhead: whatever happens beside COMMAND, no thread is made for it that was not there before.
func TestThreadsAreMadeAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files   map[string]string
		options []string
	}{
		"of everything": {map[string]string{
			"environment/A": "#!/bin/sh\necho a\n", "environment/B": "#!/bin/sh\necho b\nsleep 0.05\n",
			"export/one": held, "export/two": held, "export/teardown": teardown, "health": "#!/bin/sh\nsleep 0.05\n",
		}, []string{"--jobs", "2", "--refresh", "50ms", "--health", "./health", "--health-interval", "50ms"}},
		"nothing repeats": {map[string]string{
			"environment/A": "#!/bin/sh\necho a\n", "export/bootstrap": "#!/bin/sh\nsleep 0.05\n", "export/teardown": teardown,
		}, nil},
		"a value expires": {map[string]string{
			"environment/A": "#!/bin/sh\nenvharness notify VALID_USEC=50000\necho $$\n", "export/teardown": teardown, "changed": "#!/bin/sh\nsleep 0.05\n",
		}, []string{"--on-change", "exec=./changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := outside.start(t, tree(t, c.files), append(c.options, "sh", "-c", "grep Threads /proc/$PPID/status >threads; exec probe watch log")...)
			s.logsLine("start", 1)
			for i := range 3 {
				s.answers("drain", 0)
				s.answers("resume", 0)
				s.signal(unix.SIGUSR1)
				s.logsLine("USR1", i+1)
			}
			ahead, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(s.text("threads"), "Threads:")))
			require.NoError(t, err)
			now, err := strconv.Atoi(statusOf(s.pid, "Threads"))
			require.NoError(t, err)
			require.LessOrEqual(t, now, ahead)
			s.stop()
		})
	}
}

// TestSilentClients: those who connect and say nothing keep nobody waiting, and no thread.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	short, err := os.MkdirTemp("", "c")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(short) })
	require.NoError(t, os.Symlink(s.dir, filepath.Join(short, "d")))
	before := statusOf(s.pid, "Threads")
	for range 24 {
		if conn, err := net.Dial("unix", filepath.Join(short, "d", "control")); err == nil {
			defer conn.Close()
		}
	}
	s.becomes("ready", 0)
	require.Equal(t, before, statusOf(s.pid, "Threads"))
	s.stop()
}

// TestNoDescriptorLeft: a harness that can open nothing for a while answers again when it can.
func TestNoDescriptorLeft(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	var limit unix.Rlimit
	require.NoError(t, unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, nil, &limit))
	require.NoError(t, unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}, nil))
	s.answers("ready", 125)
	require.NoError(t, unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &limit, nil))
	s.becomes("ready", 0)
	s.stop()
}

// TestHarnessThatDoesNotAnswer: a probe fails within seconds, and TERM ends it sooner.
func TestHarnessThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	require.NoError(t, unix.Kill(s.pid, unix.SIGSTOP))
	s.answers("ready", 125)
	asking := command(t, s.dir, harnessPath, "status", "--socket", "control")
	require.NoError(t, asking.Start())
	eventually(t, "it waits for the answer", func() bool {
		return hasSocket(asking.Process.Pid)
	})
	require.NoError(t, asking.Process.Signal(unix.SIGTERM))
	require.Equal(t, 143, wait(t, asking).code)
	require.NoError(t, unix.Kill(s.pid, unix.SIGCONT))
	s.stop()
}

// hasSocket tells whether a process has opened a socket.
func hasSocket(pid int) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(descriptors, func(path string) bool {
		target, _ := os.Readlink(path)
		return strings.HasPrefix(target, "socket:")
	})
}

// TestSecondHarness: one that finds another announces nothing and withdraws nothing.
func TestSecondHarness(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"export/web":      "#!/bin/sh\necho web >>log\n",
			"export/teardown": teardown,
			"environment/A":   "#!/bin/sh\necho a\n",
			"second":          "#!/bin/sh\nexec envharness --init --socket control --environment environment --export export -- sh -c 'echo second $A $PPID >>log; exit 9'\n",
			"run":             "#!/bin/sh\n./second\necho $? >>log\nexec probe watch log\n",
		}), "./run")
		eventually(t, "the second has ended", func() bool { return count(s.log(), "9") == 1 })
		s.logsLine("start", 1)
		require.Equal(t, 1, count(s.log(), "web"))
		require.Zero(t, count(s.log(), "teardown"))
		require.Contains(t, s.text("stderr"), "another harness")
		s.answers("ready", 0)
		s.stop()
		require.Equal(t, 1, count(s.log(), "teardown"))
	})
}

// TestStuckStart: a file system or a reader of stderr that does not answer keeps neither a signal nor --deadline
// from ending start-up, and a closed stderr ends nothing.
func TestStuckStart(t *testing.T) {
	t.Parallel()
	t.Run("a file system", func(t *testing.T) {
		t.Parallel()
		dir := tree(t, map[string]string{"stuck/.keep": ""})
		stick(t, filepath.Join(dir, "stuck"))
		for _, options := range [][]string{nil, {"--init", "--socket", "control"}} {
			t.Run(fmt.Sprint(options), func(t *testing.T) {
				words := append(append([]string{}, options...), "--environment", "stuck", "--export", "none")
				result := run(t, harness(t, dir, append(append(words, "--deadline", "100ms"), "true")...))
				require.Equal(t, 125, result.code)
				require.Contains(t, result.stderr, "deadline")
				cmd := harness(t, dir, append(words, "true")...)
				require.NoError(t, cmd.Start())
				eventually(t, "it is stuck", func() bool { return waitsIn(cmd.Process.Pid, "fuse_get_req") })
				require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
				require.Equal(t, 143, wait(t, cmd).code)
			})
		}
	})
	t.Run("a picture", func(t *testing.T) {
		t.Parallel()
		dir := tree(t, map[string]string{"stuck/.keep": ""})
		stick(t, filepath.Join(dir, "stuck"))
		for code, options := range map[int][]string{125: nil, 0: {"--init", "--socket", "control"}} {
			result := run(t, harness(t, dir, append(options, "--environment", "none", "--export", "none", "--timeout", "100ms",
				"--timeline-svg", "stuck/picture", "true")...))
			require.Equal(t, code, result.code, result.stderr)
			require.Contains(t, result.stderr, "did not answer")
		}
	})
	t.Run("a full stderr", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		fd := int(w.Fd()) // which makes it blocking
		require.NoError(t, unix.SetNonblock(fd, true))
		for range 2 {
			unix.Write(fd, make([]byte, 1<<20)) // as much as it takes
		}
		require.NoError(t, unix.SetNonblock(fd, false))
		dir := tree(t, map[string]string{"export/teardown": "#!/bin/sh\n"})
		cmd := harness(t, dir, "--environment", "none", "--export", "export", "true")
		cmd.Stderr = w
		require.NoError(t, cmd.Start())
		eventually(t, "it writes", func() bool { return waitsIn(cmd.Process.Pid, "pipe_write") })
		require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
		require.Equal(t, 143, wait(t, cmd).code)
	})
	t.Run("a closed stderr", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		require.NoError(t, err)
		r.Close()
		dir := tree(t, map[string]string{"export/teardown": "#!/bin/sh\n", "failing/A": "#!/bin/sh\nexit 1\n"})
		for code, environment := range map[int]string{0: "none", 125: "failing"} {
			cmd := harness(t, dir, "--environment", environment, "--export", "export", "true")
			cmd.Stderr = w
			require.Equal(t, code, run(t, cmd).code)
		}
	})
}

// TestStuckWhileCommandRuns: what a refresh reads or writes on a file system that no longer answers keeps no signal
// from COMMAND, and no stop. As PID 1 it would not see the mount.
func TestStuckWhileCommandRuns(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{"a file": {"--write", "out/env"}, "a directory": {"--environment", "out"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"environment/A": changing, "A.value": "1\n", "out/.keep": ""}
			s := outside.start(t, tree(t, files), append(options, "--environment", "environment", "--refresh", "50ms",
				"--on-change", "signal=HUP", "probe", "watch", "log")...)
			s.logs("start")
			stick(t, s.path("out"))
			s.set("A", "2")
			if name == "a file" {
				s.tells("did not answer")
			}
			s.signal(unix.SIGUSR1)
			s.logsLine("USR1", 1)
			s.stop()
		})
	}
}

// waitsIn tells whether a thread of a process waits in a function of the kernel: for the reader of a pipe in pipe_write, for a
// file system in user space that is not there yet in fuse_get_req.
func waitsIn(pid int, function string) bool {
	places, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	for _, place := range places {
		if where, _ := os.ReadFile(place); strings.Contains(string(where), function) {
			return true
		}
	}
	return false
}

// stick mounts a file system that does not answer.
func stick(t *testing.T, dir string) {
	t.Helper()
	need(t, "root")
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no /dev/fuse here")
	}
	if err := unix.Mount("stuck", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		unix.Close(fuse)
		t.Skip("no FUSE here: ", err)
	}
	t.Cleanup(func() { unix.Close(fuse); unix.Unmount(dir, unix.MNT_DETACH) })
}
