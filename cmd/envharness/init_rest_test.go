//go:build linux

package main_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// worker is a child of COMMAND that drains for a moment when it gets TERM.
const worker = `(trap 'echo worker TERM >>log; sleep 0.2; echo worker drained >>log; exit' TERM; echo worker start >>log; while :; do sleep 0.02; done) &`

// TestWorkersOutliveTheCommand: when COMMAND has exited what it left gets TERM and may use the grace.
func TestWorkersOutliveTheCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, exits := range []struct{ name, how string }{
			{"in a stop", `trap 'echo command TERM >>log; exit 3' TERM; while :; do sleep 0.02; done`},
			{"by itself", `until [ -e go ]; do sleep 0.02; done; echo command TERM >>log; exit 3`},
		} {
			t.Run(exits.name, func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, map[string]string{"run": "#!/bin/sh\n" + worker + "\nuntil [ -s log ]; do sleep 0.02; done\necho start >>log\n" + exits.how}), "./run")
				s.logs("worker start", "start")
				if exits.name == "in a stop" {
					s.signal(unix.SIGTERM)
				} else {
					s.touch("go")
				}
				s.exits(3)
				require.Equal(t, []string{"worker start", "start", "command TERM", "worker TERM", "worker drained"}, s.log())
				nothingLives(t, "TEST_MARK="+s.dir)
			})
		}
	})
}

// TestWhatIsDeafIsKilled: what ignores TERM ends with the grace.
func TestWhatIsDeafIsKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, nil), "--grace", "300ms", "sh", "-c", `(trap '' TERM; echo deaf >>log; while :; do sleep 1; done) & until [ -s log ]; do sleep 0.02; done; wait`)
		s.logs("deaf")
		s.signal(unix.SIGTERM)
		s.exits(143)
		nothingLives(t, "TEST_MARK="+s.dir)
	})
}

// TestForeignProcIsNotBelieved: a harness whose /proc shows another PID namespace signals no stranger. There a process
// of the harness's number, 2, has the children 3 to 30; in the harness's own namespace these numbers are strangers'.
func TestForeignProcIsNotBelieved(t *testing.T) {
	t.Parallel()
	need(t, "root", "unshare", "bash")
	dir := tree(t, map[string]string{
		"outer": "#!/bin/bash\nbash -c 'for i in {3..30}; do sleep 1000 & done; echo >ready; wait' &\nuntil [ -e ready ]; do sleep 0.02; done\nunshare -p -f --kill-child ./inner\n",
		"inner": `#!/bin/bash
			envharness --init --socket control --environment environment --export export -- sh -c 'setsid sleep 1000 & until [ -e go ]; do sleep 0.02; done; exit 4' &
			strangers=()
			for i in {1..20}; do sleep 1000 & strangers+=($!); done
			echo >go
			wait 2
			echo $? >>log
			for stranger in "${strangers[@]}"; do kill -0 $stranger && echo lives >>log; done`,
	})
	cmd := command(t, dir, "unshare", "-p", "-f", "--mount-proc", "--kill-child", "./outer")
	marked(t, cmd)
	result := run(t, cmd)
	log := lines(filepath.Join(dir, "log"))
	require.Equal(t, 20, count(log, "lives"), result.stderr)
	require.Equal(t, "4", log[0], result.stderr)
	eventually(t, "all are gone", func() bool { return len(living(t, "TEST_MARK="+dir)) == 0 })
}

// TestReadyFromStrangers: READY=1 counts from the executable's own processes alone.
func TestReadyFromStrangers(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": "#!/bin/sh\necho $NOTIFY_SOCKET >address\nprintf va\nuntil [ -e go ]; do sleep 0.02; done\necho lue\n",
			"environment/B": "#!/bin/sh\necho own\n(setsid sh -c 'probe notify READY=1; sleep 1000') &\nsleep 1000 & wait\n",
		}), "probe", "watch", "log", "A", "B")
		address := strings.TrimSpace(appears(t, s.path("address")))
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Sendto(fd, []byte("READY=1"), 0, &unix.SockaddrUnix{Name: address}))
		s.touch("go")
		s.logs("start A=value B=own")
		s.stop()
	})
}

// TestExecutableInAnotherGroup: one that joins the harness's own process group ends at the time-out all the same.
func TestExecutableInAnotherGroup(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	dir := tree(t, map[string]string{
		"environment/A": "#!/usr/bin/env python3\nimport os, time\nos.setpgid(0, os.getpgid(os.getppid()))\ntime.sleep(1000)\n",
	})
	cmd := harness(t, dir, with("--timeout", "1s", "true")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	got := run(t, cmd)
	require.Equal(t, 125, got.code, got.stderr)
	require.Contains(t, got.stderr, "timed out")
}
