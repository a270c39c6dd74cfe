//go:build linux

package main_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWithdrawalComesFirst: nobody is sent to a server that is closing.
func TestWithdrawalComesFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		files := map[string]string{"export/held": held, "export/teardown": teardown}
		withdrawal := []string{"held TERM", "held gone", "teardown", "withdrawn"}

		t.Run("at a stop", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), "probe", "watch", "log")
			s.logs("held start", "start")
			s.stop()
			s.logs(append(append([]string{"held start", "start"}, withdrawal...), "TERM")...)
		})
		t.Run("when COMMAND exits by itself", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), "sh", "-c", "echo exit >>log; exit 5")
			s.exits(5)
			s.logs(append([]string{"held start", "exit"}, withdrawal...)...)
		})
		t.Run("when COMMAND is killed", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, files), "sh", "-c", "echo exit >>log; kill -KILL $$")
			s.exits(137)
			s.logs(append([]string{"held start", "exit"}, withdrawal...)...)
		})
		t.Run("within --timeout", func(t *testing.T) {
			t.Parallel()
			deaf := "#!/bin/sh\ntrap '' TERM\necho deaf start >>log\nprobe notify READY=1\nwhile :; do sleep 1000; done\n"
			s := in.start(t, tree(t, map[string]string{"export/deaf": deaf, "export/teardown": teardown}),
				"--timeout", "5s", "--grace", "10m", "probe", "watch", "-exit", "TERM=7", "log")
			s.logs("deaf start", "start")
			s.signal(unix.SIGTERM)
			s.exits(7)
			require.Equal(t, []string{"deaf start", "start", "teardown", "withdrawn", "TERM"}, s.log())
			nothingLives(t, "TEST_MARK="+s.dir)
		})
		t.Run("of several directories", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"export/held": held, "export/other": held, "export/teardown": teardown,
				"more/third": held, "more/teardown": "#!/bin/sh\necho more teardown >>log\n",
			}), "--export", "more", "probe", "watch", "log")
			s.logs("held start", "other start", "third start", "start")
			s.stop()
			log := s.log()
			require.Len(t, log, 14)
			require.Equal(t, "TERM", log[13])
			for _, name := range []string{"held", "other", "third"} {
				require.Less(t, at(log, name+" TERM"), at(log, name+" gone"))
				require.Less(t, at(log, name+" gone"), at(log, "teardown"))
				require.Less(t, at(log, name+" gone"), at(log, "more teardown"))
			}
		})
	})
}

// at is the place of a line, or one that is behind all when it is missing.
func at(lines []string, line string) int {
	for i, one := range lines {
		if one == line {
			return i
		}
	}
	return len(lines)
}

// TestHeartbeatInTheBackground: an exporter that has exited may have left one running; it is withdrawn too.
func TestHeartbeatInTheBackground(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"export/a": `#!/bin/sh
				sh -c 'trap "echo heartbeat ended >>log; exit" TERM; echo heartbeat >>log; sleep 1000 & wait' >/dev/null 2>&1 &
				until [ -s log ]; do sleep 0.01; done`,
		}), "probe", "watch", "log")
		s.logs("heartbeat", "start")
		s.stop()
		s.logsLine("TERM", 1)
		nothingLives(t, "TEST_MARK="+s.dir)
	})
}

// TestTeardown: it runs as an exporter does, and its failure is no reason to stay.
func TestTeardown(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("its streams", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"export/teardown": "#!/bin/sh\necho to stdout; echo to stderr >&2; read line || echo no stdin\n",
			}), "probe", "watch", "log")
			s.logs("start")
			require.Empty(t, s.text("stderr"), "there is nothing to warn of")
			s.stop()
			require.Empty(t, s.text("stdout"))
			require.Contains(t, s.text("stderr"), "to stdout\nto stderr\nno stdin\n")
		})
		t.Run("fails", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/teardown": "#!/bin/sh\nexit 3\n"}), "probe", "watch", "-exit", "TERM=7", "log")
			s.logs("start")
			s.signal(unix.SIGTERM)
			s.exits(7)
			require.Regexp(t, `teardown.*3`, s.text("stderr"))
		})
		t.Run("hangs", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/teardown": "#!/bin/sh\ntrap '' TERM\necho $$ >pid\nsleep 1000 & wait\nsleep 1000\n"}),
				"--timeout", "200ms", "--grace", "10m", "probe", "watch", "-exit", "TERM=7", "log")
			s.logs("start")
			s.signal(unix.SIGTERM)
			s.exits(7)
			s.logs("start", "TERM")
			require.Regexp(t, `export/teardown`, s.text("stderr"))
			nothingLives(t, "TEST_MARK="+s.dir)
		})
		t.Run("is not run at a start that fails", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": "#!/bin/sh\nexit 1\n", "export/teardown": "#!/bin/sh\necho teardown >>log\n"}), "touch", "ran")
			s.exits(125)
			require.NoFileExists(t, s.path("ran"))
			require.NoFileExists(t, s.path("log"))
		})
	})
}

// TestGrace: what a stop does takes no longer than that, whoever is deaf.
func TestGrace(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		deaf := "#!/bin/sh\ntrap '' TERM\necho ${0##*/} deaf >>log\nprobe notify READY=1\nwhile :; do sleep 1000; done\n"
		for name, test := range map[string]struct {
			files         map[string]string
			before, after []string
		}{
			"COMMAND is deaf":          {nil, []string{"start"}, []string{"TERM"}},
			"an exporter is deaf, too": {map[string]string{"export/held": deaf}, []string{"held deaf", "start"}, []string{"TERM"}},
			"teardown hangs": {map[string]string{"export/teardown": "#!/bin/sh\ntrap '' TERM\necho teardown >>log\nwhile :; do sleep 1000; done\n"},
				[]string{"start"}, []string{"teardown", "TERM"}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, test.files), "--grace", "8s", "--timeout", "10m", "probe", "watch", "-exit", "", "log")
				for _, line := range test.before {
					s.logsLine(line, 1)
				}
				s.signal(unix.SIGTERM)
				s.exits(137)
				require.Equal(t, append(test.before, test.after...), s.log())
				nothingLives(t, "TEST_MARK="+s.dir)
			})
		}
		t.Run("COMMAND is stopped", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "--grace", "1s", "sh", "-c", "echo start >>log; kill -STOP $$; sleep 1000")
			s.logs("start")
			s.signal(unix.SIGTERM)
			result := s.ends()
			require.Contains(t, []int{143, 137}, result.code)
		})
		t.Run("a session of its own", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "--grace", "1s", "sh", "-c",
				"setsid sh -c 'trap \"\" TERM; echo escaped >>log; while :; do sleep 1000; done' & until [ -s log ]; do sleep 0.02; done; exec probe watch log")
			s.logs("escaped", "start")
			s.stop()
			eventually(t, "what is left was killed", func() bool { return len(living(t, "TEST_MARK="+s.dir)) == 0 })
		})
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "--grace", "0s", "probe", "watch", "-exit", "", "log")
			s.logs("start")
			s.signal(unix.SIGTERM)
			result := s.ends()
			require.Equal(t, 137, result.code)
		})
	})
}

// TestHeldDiscoverersHaveTheRestOfTheGrace: they go after COMMAND, gently, and no later than the grace allows.
func TestHeldDiscoverersHaveTheRestOfTheGrace(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		gentle := "#!/bin/sh\ntrap 'echo A TERM >>log; sleep 0.5; echo A gone >>log; exit 0' TERM\necho a\nprobe notify READY=1\nsleep 1000 &\nwait\n"
		deaf := "#!/bin/sh\ntrap '' TERM\necho a\nprobe notify READY=1\nwhile :; do sleep 1000; done\n"
		t.Run("at a stop", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": gentle}), "--grace", "1m", "probe", "watch", "log", "A")
			s.logs("start A=a")
			s.stop()
			require.Equal(t, []string{"start A=a", "TERM", "A TERM", "A gone"}, s.log())
		})
		t.Run("when COMMAND exits by itself", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": gentle}), "--grace", "1m", "sh", "-c", "echo exit >>log; exit 5")
			s.exits(5)
			require.Equal(t, []string{"exit", "A TERM", "A gone"}, s.log())
		})
		t.Run("deaf", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": deaf}), "--grace", "5s", "--timeout", "10m", "probe", "watch", "-exit", "TERM=7", "log")
			s.logs("start")
			s.signal(unix.SIGTERM)
			s.exits(7)
			nothingLives(t, "TEST_MARK="+s.dir)
		})
		t.Run("deaf for longer than --timeout", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": deaf}), "--grace", "10m", "--timeout", "5s", "probe", "watch", "-exit", "TERM=7", "log")
			s.logs("start")
			s.signal(unix.SIGTERM)
			s.exits(7)
			nothingLives(t, "TEST_MARK="+s.dir)
		})
	})
}

// TestCommandThatIsStoppedGoesOn: a stop signal of job control is no exit.
func TestCommandThatIsStoppedGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, nil), "sh", "-c", "echo $$ >pid; exec probe watch log")
		s.logs("start")
		command := childrenOf(t, s.pid)[0]
		require.NoError(t, unix.Kill(command, unix.SIGSTOP))
		eventually(t, "it is stopped", func() bool { return len(statusOf(command, "State")) > 0 && statusOf(command, "State")[0] == 'T' })
		s.answers("status", 0)
		require.NoError(t, unix.Kill(command, unix.SIGCONT))
		s.signal(unix.SIGUSR1)
		s.logsLine("USR1", 1)
		s.stop()
	})
}

// TestSocketIsGoneAtTheEnd: an orderly end leaves nothing in the file system.
func TestSocketIsGoneAtTheEnd(t *testing.T) {
	t.Parallel()
	s := outside.start(t, tree(t, nil), "probe", "watch", "log")
	s.logs("start")
	s.becomes("ready", 0)
	s.stop()
	_, err := os.Lstat(s.path("control"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
