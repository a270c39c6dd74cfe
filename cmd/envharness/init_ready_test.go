//go:build linux

package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// listener is who waits for the harness to be ready, as systemd does.
func listener(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestReadyNotify: COMMAND says that it is ready, and the harness passes it on.
func TestReadyNotify(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, kind := range []string{"abstract", "path"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				dir := tree(t, map[string]string{"export/held": held})
				address := "@envharness-test-" + strings.ReplaceAll(dir, "/", "-")
				if kind == "path" {
					short, err := os.MkdirTemp("", "n")
					require.NoError(t, err)
					t.Cleanup(func() { os.RemoveAll(short) })
					address = filepath.Join(short, "s")
				}
				waits := listener(t, address)
				cmd := in.initCommand(t, dir, "--ready", "notify", "sh", "-c",
					"echo $NOTIFY_SOCKET >address; echo start >>log; until [ -e go ]; do sleep 0.02; done; exec probe watch -ready log")
				cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+address)
				s := in.startCommand(t, cmd)
				s.logs("held start", "start")
				own := strings.TrimSpace(s.text("address"))
				require.Regexp(t, "^@.", own)
				require.NotEqual(t, address, own)
				s.becomes("status", 0)
				s.answers("ready", 1)
				require.Equal(t, false, s.status()["ready"])
				s.touch("go")
				s.becomes("ready", 0)
				require.Equal(t, true, s.status()["ready"])
				message := make([]byte, 4096)
				n, err := waits.Read(message)
				require.NoError(t, err)
				require.Contains(t, strings.Split(string(message[:n]), "\n"), "READY=1", "the first word from the harness")
				s.stop()
			})
		}
		t.Run("nobody waits", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "--ready", "notify", "probe", "watch", "-ready", "log")
			s.logs("start")
			s.becomes("ready", 0)
			s.stop()
		})
		t.Run("as another user", func(t *testing.T) {
			t.Parallel()
			need(t, "root", "setpriv")
			dir := tree(t, nil)
			require.NoError(t, os.Chmod(dir, 0o777))
			s := in.start(t, dir, "--user", "4242:4343", "--ready", "notify", "probe", "watch", "-ready", "log")
			s.logs("start")
			s.becomes("ready", 0)
			s.stop()
		})
		t.Run("said by a stranger", func(t *testing.T) {
			t.Parallel()
			need(t, "root", "setpriv")
			s := in.start(t, tree(t, nil), "--ready", "notify", "sh", "-c",
				"setpriv --reuid 4242 --regid 4242 --clear-groups probe notify READY=1; echo said >>log; exec probe watch log")
			s.logs("said", "start")
			s.answers("ready", 1)
			s.stop()
		})
		t.Run("again after a restart", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}), "--refresh", "20ms", "--ready", "notify",
				"sh", "-c", `echo start >>log; until [ -e go$A ]; do sleep 0.02; done; exec probe watch -ready log A`)
			s.logs("start")
			s.touch("go1")
			s.becomes("ready", 0)
			s.set("A", "2")
			s.logs("start", "start A=1", "TERM", "start")
			s.answers("ready", 1)
			s.touch("go2")
			s.becomes("ready", 0)
			s.stop()
		})
	})
}

// TestNotReadyDuringARestart: from the signal that stops COMMAND until the next one is ready, whatever the old one
// still says. Others are sent to it nonetheless: nothing is withdrawn.
func TestNotReadyDuringARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		lingers := `trap 'echo TERM >>log; [ ! "$NOTIFY_SOCKET" ] || probe notify READY=1; echo lingers >>log; until [ -e finish ]; do sleep 0.02; done; exit 0' TERM
			echo start $A >>log
			[ ! "$NOTIFY_SOCKET" ] || probe notify READY=1
			while :; do sleep 0.02; done`
		for name, args := range map[string][]string{
			"by itself":  nil,
			"notify":     {"--ready", "notify"},
			"executable": {"--ready", "./is-ready"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, map[string]string{
					"environment/A": changing, "A.value": "1\n", "is-ready": "#!/bin/sh\n[ ! -e down ]\n", "export/held": held,
				}), append(append([]string{"--refresh", "20ms", "--grace", "10m"}, args...), "sh", "-c", lingers)...)
				s.logs("held start", "start 1")
				s.becomes("ready", 0)
				s.set("A", "2")
				s.logs("held start", "start 1", "TERM", "lingers")
				s.refreshed("A", 5)
				s.answers("ready", 1)
				status := s.status()
				require.Equal(t, "running", status["phase"])
				require.Equal(t, false, status["ready"])
				require.Equal(t, true, status["announced"])
				s.touch("finish")
				s.logs("held start", "start 1", "TERM", "lingers", "start 2")
				s.becomes("ready", 0)
				s.stop()
			})
		}
		t.Run("the last word of the old one", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}),
				"--refresh", "20ms", "--ready", "notify", "probe", "watch", "-last", "READY=1", "log", "A")
			s.logs("start A=1")
			for i := 2; i <= 9; i++ {
				s.set("A", fmt.Sprint(i))
				s.logsLine(fmt.Sprintf("start A=%d", i), 1)
				s.answers("ready", 1)
			}
			s.stop()
		})
		t.Run("a late answer about the old one", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"environment/A": changing, "A.value": "1\n",
				"is-ready": "#!/bin/sh\necho asked $A >>asked\nuntil [ -e go$A ]; do sleep 0.02; done\necho said $A >>asked\n",
			}), "--refresh", "20ms", "--ready", "./is-ready", "probe", "watch", "log", "A")
			for i := 1; i <= 6; i++ {
				s.logsLine(fmt.Sprintf("start A=%d", i), 1)
				eventually(t, "it was asked", func() bool { return slices.Contains(lines(s.path("asked")), fmt.Sprint("asked ", i)) })
				s.set("A", fmt.Sprint(i+1))
				s.logsLine(fmt.Sprintf("start A=%d", i+1), 1)
				s.touch(fmt.Sprintf("go%d", i))
				eventually(t, "the old one was found ready", func() bool { return slices.Contains(lines(s.path("asked")), fmt.Sprint("said ", i)) })
				for range 3 {
					s.answers("ready", 1)
				}
			}
			s.touch("go7")
			s.becomes("ready", 0)
			s.stop()
		})
	})
}

// TestReadyExecutable: COMMAND is ready once it exits 0.
func TestReadyExecutable(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("in time", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"environment/A": "a\n",
				"is-ready":      "#!/bin/sh\necho asked $A >>asked\necho noise\n[ -e up ]\n",
			}), "--ready", "./is-ready", "probe", "watch", "log")
			s.logs("start")
			eventually(t, "it was asked twice", func() bool { return len(lines(s.path("asked"))) >= 2 })
			require.Equal(t, "asked a", lines(s.path("asked"))[0], "it sees what COMMAND sees")
			s.answers("ready", 1)
			s.touch("up")
			s.becomes("ready", 0)
			s.stop()
			require.Empty(t, s.text("stdout"), "stdout is COMMAND's")
		})
		t.Run("hangs", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"is-ready": "#!/bin/sh\necho asked >>asked\n[ -e up ] || sleep 1000\n",
			}), "--ready", "./is-ready", "--timeout", "1s", "probe", "watch", "log")
			s.logs("start")
			eventually(t, "it was asked twice", func() bool { return len(lines(s.path("asked"))) >= 2 })
			s.answers("ready", 1)
			s.touch("up")
			s.becomes("ready", 0)
			s.stop()
		})
		t.Run("is not there", func(t *testing.T) {
			t.Parallel()
			for _, option := range []string{"--ready", "--health"} {
				s := in.start(t, tree(t, map[string]string{"export/a": "#!/bin/sh\necho exported >>log\n"}), option, "./no-such", "probe", "watch", "log")
				s.exits(125)
				require.Regexp(t, `(?m)^envharness: error: `+option+` \./no-such`, s.text("stderr"))
				require.NoFileExists(t, s.path("log"), "nothing is announced for a COMMAND that cannot be judged")
			}
		})
		t.Run("by itself", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "probe", "watch", "log")
			s.logs("start")
			s.becomes("ready", 0)
			s.stop()
		})
	})
}

// TestExportWhenReady: nobody is sent to a COMMAND that is not ready yet.
func TestExportWhenReady(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A":    "resolved\n",
			"export/bootstrap": "#!/bin/sh\necho bootstrap $A >>log\n",
			"export/held":      held,
			"export/teardown":  teardown,
		}), "--export-when-ready", "--ready", "notify", "sh", "-c", "echo start >>log; until [ -e go ]; do sleep 0.02; done; exec probe watch -ready -word COMMAND log")
		s.logs("start")
		s.becomes("status", 0)
		s.answers("ready", 1)
		s.touch("go")
		s.logs("start", "COMMAND start", "bootstrap resolved", "held start")
		s.becomes("ready", 0)
		s.stop()
		s.logs("start", "COMMAND start", "bootstrap resolved", "held start", "held TERM", "held gone", "teardown", "withdrawn", "COMMAND TERM")

		t.Run("drained before", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/held": held, "is-ready": "#!/bin/sh\n[ -e up ]\n"}),
				"--export-when-ready", "--ready", "./is-ready", "probe", "watch", "log")
			s.logs("start")
			s.becomes("status", 0)
			s.answers("resume", 1)
			s.answers("drain", 0)
			s.touch("up")
			eventually(t, "COMMAND is ready", func() bool { return s.status()["ready"] == true })
			s.answers("ready", 1)
			require.Equal(t, []string{"start"}, s.log())
			s.answers("resume", 0)
			s.logs("start", "held start")
			s.answers("ready", 0)
			s.stop()
		})
		t.Run("stopped or drained meanwhile", func(t *testing.T) {
			t.Parallel()
			files := map[string]string{
				"export/held":     "#!/bin/sh\ntrap 'echo held TERM >>log; exit 0' TERM\necho held start >>log\nuntil [ -e announce ]; do sleep 0.02; done\nprobe notify READY=1\nsleep 1000 & wait\n",
				"export/teardown": teardown,
			}
			for _, word := range []string{"stop", "drain"} {
				s := in.start(t, tree(t, files), "--export-when-ready", "--grace", "10m", "probe", "watch", "log")
				s.logsLine("start", 1) // the two in any order
				s.logsLine("held start", 1)
				begun := s.log()
				s.becomes("status", 0)
				drained := make(chan outcome, 1)
				if word == "stop" {
					s.signal(unix.SIGTERM)
				} else {
					go func() { drained <- s.ask("drain") }()
				}
				phase := map[string]string{"stop": "stopping", "drain": "drained"}[word]
				eventually(t, "it has begun", func() bool { return s.status()["phase"] == phase })
				require.Equal(t, begun, s.log())
				require.Empty(t, drained)
				s.touch("announce")
				s.logsLine("withdrawn", 1)
				if word == "drain" {
					require.Equal(t, 0, (<-drained).code)
					s.signal(unix.SIGTERM)
				}
				s.exits(0)
				require.Equal(t, append(begun, "held TERM", "teardown", "withdrawn", "TERM"), s.log())
			}
		})
		t.Run("stopped before", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/held": held}), "--export-when-ready", "--ready", "notify", "probe", "watch", "log")
			s.logs("start")
			s.stop()
			s.logs("start", "TERM")
		})
	})
}

// TestHealth: an unhealthy COMMAND is withdrawn, a healthy one exported again.
func TestHealth(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		files := map[string]string{
			"environment/A":   "a\n",
			"is-well":         "#!/bin/sh\necho asked $A >>asked\n[ ! -e ill ]\n",
			"export/held":     held,
			"export/teardown": teardown,
		}
		args := []string{"--health", "./is-well", "--health-interval", "50ms", "--health-failures", "3", "probe", "watch", "log"}
		t.Run("ill and well", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), args...)
			want := []string{"held start", "start"}
			s.logs(want...)
			s.becomes("ready", 0)
			for range 2 {
				s.touch("ill")
				want = append(want, "held TERM", "held gone", "teardown", "withdrawn")
				s.logs(want...)
				s.answers("ready", 1)
				s.answers("status", 0)
				require.Equal(t, false, s.status()["healthy"])
				require.NoError(t, os.Remove(s.path("ill")))
				want = append(want, "held start")
				s.logs(want...)
				s.becomes("ready", 0)
				require.Equal(t, true, s.status()["healthy"])
			}
			require.Equal(t, "asked a", lines(s.path("asked"))[0])
			s.stop()
			s.logs(append(want, "held TERM", "held gone", "teardown", "withdrawn", "TERM")...)
		})
		t.Run("failures in a row", func(t *testing.T) {
			t.Parallel()
			flaky := map[string]string{
				"is-well":     "#!/bin/sh\necho asked >>asked\n[ $(($(wc -l <asked) % 3)) -eq 0 ]\n",
				"export/held": held,
			}
			s := in.start(t, tree(t, flaky), args...)
			eventually(t, "it was asked", func() bool { return len(lines(s.path("asked"))) >= 12 })
			s.logs("held start", "start")
			s.answers("ready", 0)
			s.stop()
		})
		t.Run("stopped while ill", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), args...)
			s.logs("held start", "start")
			s.touch("ill")
			s.logsLine("withdrawn", 1)
			s.becomes("ready", 1)
			s.stop()
			s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn", "TERM") // once is enough
		})
		t.Run("hangs", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"is-well": "#!/bin/sh\nif [ -e ill ]; then sleep 1000; fi\n", "export/held": held,
			}), append([]string{"--timeout", "6s"}, args...)...)
			s.logs("held start", "start")
			s.touch("ill")
			s.logs("held start", "start", "held TERM", "held gone")
			s.becomes("ready", 1)
			s.signal(unix.SIGUSR1)
			s.logs("held start", "start", "held TERM", "held gone", "USR1")
			require.NoError(t, os.Remove(s.path("ill")))
			s.logsLine("held start", 2)
			s.stop()
		})
		t.Run("ill, then drained", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), args...)
			s.logs("held start", "start")
			s.touch("ill")
			s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn")
			s.becomes("ready", 1)
			s.answers("resume", 1) // nobody is to be sent to it
			s.answers("drain", 0)
			require.Equal(t, "drained", s.status()["phase"])
			s.answers("resume", 1)
			require.NoError(t, os.Remove(s.path("ill")))
			s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn", "held start")
			s.becomes("ready", 0)
			s.stop()
		})
		t.Run("drained and ill", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), args...)
			s.logs("held start", "start")
			s.becomes("ready", 0)
			s.answers("drain", 0)
			s.touch("ill")
			s.becomes("status", 0)
			eventually(t, "it is ill", func() bool { return s.status()["healthy"] == false })
			require.NoError(t, os.Remove(s.path("ill")))
			eventually(t, "it is well", func() bool { return s.status()["healthy"] == true })
			s.answers("ready", 1)
			s.logs("held start", "start", "held TERM", "held gone", "teardown", "withdrawn")
			s.answers("resume", 0)
			s.logsLine("held start", 2)
			s.stop()
		})
	})
}
