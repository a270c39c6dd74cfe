//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// changing is an executable whose value is the content of a file, and which fails while that is not there. It
// counts its runs.
const changing = "#!/bin/sh\necho ${0##*/} >>runs\ncat ${0##*/}.value\n"

// set changes the value of a changing executable, at once and as a whole.
func (s *service) set(name, value string) {
	s.t.Helper()
	write(s.t, s.path(name+".new"), value+"\n")
	require.NoError(s.t, os.Rename(s.path(name+".new"), s.path(name+".value")))
}

// refreshed waits until a changing executable was run times more, from now on.
func (s *service) refreshed(name string, times int) {
	s.t.Helper()
	before := count(lines(s.path("runs")), name)
	eventually(s.t, name+" was run again", func() bool { return count(lines(s.path("runs")), name) >= before+times })
}

func TestRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": changing, "A.value": "1\n",
			"environment/B": "#!/bin/sh\necho \"from $A\"\n",
			"environment/C": "plain 1\n",
			"export/held":   held, "export/teardown": teardown,
		}), "--refresh", "50ms", "probe", "watch", "log", "A", "B", "C")
		want := []string{"held start", "start A=1 B=from 1 C=plain 1"}
		s.logs(want...)
		exporter := s.text("held.pid")

		s.refreshed("A", 15)
		require.Equal(t, want, s.log(), "nothing has changed")

		before := count(lines(s.path("runs")), "A")
		s.set("A", "2")
		want = append(want, "TERM", "start A=2 B=from 2 C=plain 1")
		s.logsLine("TERM", 1)
		require.Less(t, count(lines(s.path("runs")), "A")-before, 40, "a refresh that finds nothing else puts the restart off")
		s.logs(want...)
		write(t, s.path("environment/C"), "plain 2\n")
		want = append(want, "TERM", "start A=2 B=from 2 C=plain 2")
		s.logs(want...)
		// A new entry, and one that is gone.
		write(t, s.path("environment/D.tmp~"), "#!/bin/sh\necho new\n")
		require.NoError(t, os.Rename(s.path("environment/D.tmp~"), s.path("environment/D")))
		want = append(want, "TERM", "start A=2 B=from 2 C=plain 2")
		s.logs(want...)
		require.NoError(t, os.Remove(s.path("environment/C")))
		want = append(want, "TERM", "start A=2 B=from 2 C=")
		s.logs(want...)

		require.Equal(t, exporter, s.text("held.pid"), "a restart withdraws nothing")
		s.stop()
		s.logs(append(want, "held TERM", "held gone", "teardown", "withdrawn", "TERM")...)
	})
}

// TestFailedRefresh: it never takes a value away, whatever it is that fails.
func TestFailedRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for name, test := range map[string]struct {
			args   []string
			files  map[string]string
			fail   func(*service)
			repair func(*service)
		}{
			"an executable": {
				fail: func(s *service) { require.NoError(s.t, os.Remove(s.path("A.value"))) },
			},
			"an executable that hangs": {
				args:  []string{"--timeout", "5s"},
				files: map[string]string{"environment/A": "#!/bin/sh\necho A >>runs\n[ -e hang ] && sleep 1000\ncat A.value\n"},
				fail:  func(s *service) { s.touch("hang") },
				repair: func(s *service) {
					require.NoError(s.t, os.Remove(s.path("hang")))
				},
			},
			"a refused value": {
				files: map[string]string{"environment/A": "#!/bin/sh\necho A >>runs\n[ -e nul ] && printf 'a\\0b'\ncat A.value\n"},
				fail:  func(s *service) { s.touch("nul") },
				repair: func(s *service) {
					require.NoError(s.t, os.Remove(s.path("nul")))
				},
			},
			"--require": {
				args: []string{"--require", "A"},
				fail: func(s *service) { s.set("A", "") },
			},
			"--empty fail": {
				args: []string{"--empty", "fail"},
				fail: func(s *service) { s.set("A", "") },
			},
			"a PATH without COMMAND": {
				files: map[string]string{"environment/PATH": "#!/bin/sh\n[ -e astray ] && echo /nowhere || echo \"$PATH\"\n"},
				fail:  func(s *service) { s.touch("astray") },
				repair: func(s *service) {
					require.NoError(s.t, os.Remove(s.path("astray")))
				},
			},
			"a dangling link": {
				files:  map[string]string{"environment/Z": "z\n"},
				fail:   func(s *service) { require.NoError(s.t, os.Symlink("nowhere", s.path("environment/Y"))) },
				repair: func(s *service) { require.NoError(s.t, os.Remove(s.path("environment/Y"))) },
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				files := map[string]string{"environment/A": changing, "A.value": "1\n", "environment/B": "b\n"}
				for name, content := range test.files {
					files[name] = content
				}
				args := append(append([]string{"--refresh", "20ms", "--write", "env"}, test.args...), "probe", "watch", "log", "A", "B")
				s := in.start(t, tree(t, files), args...)
				s.logs("start A=1 B=b")
				write(t, s.path("environment/B"), "b2\n")
				s.logs("start A=1 B=b", "TERM", "start A=1 B=b2")
				test.fail(s)
				s.refreshed("A", 3) // again and again
				write(t, s.path("environment/B"), "b3\n")
				s.refreshed("A", 1)
				s.signal(unix.SIGUSR1)
				s.logs("start A=1 B=b", "TERM", "start A=1 B=b2", "USR1")
				require.Regexp(t, `(?m)^envharness: warn`, s.text("stderr"))
				s.answers("ready", 0)
				written, err := godotenv.Read(s.path("env"))
				require.NoError(t, err)
				require.Equal(t, "1", written["A"])
				require.Equal(t, "b2", written["B"])

				if test.repair != nil {
					test.repair(s)
				}
				s.set("A", "2")
				s.logs("start A=1 B=b", "TERM", "start A=1 B=b2", "USR1", "TERM", "start A=2 B=b3")
				s.stop()
			})
		}
	})
}

// TestFailedRefreshIsTriedAgain: soon, but not as often as one that works.
func TestFailedRefreshIsTriedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}), "--refresh", "10ms", "probe", "watch", "log")
		s.logs("start")
		require.NoError(t, os.Remove(s.path("A.value")))
		s.refreshed("A", 3)
		before := count(lines(s.path("runs")), "A")
		// A slow machine runs it less often, never more often.
		time.Sleep(3 * time.Second)
		require.Less(t, count(lines(s.path("runs")), "A")-before, 30)
		s.stop()
	})
}

func TestOnChange(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		start := func(t *testing.T, policy string) *service {
			s := in.start(t, tree(t, map[string]string{
				"environment/A": changing, "A.value": "1\n", "export/held": held, "export/teardown": teardown,
			}), "--refresh", "50ms", "--write", "env", "--on-change", policy, "probe", "watch", "-exit", "TERM=7,QUIT=8", "log", "A")
			s.logs("held start", "start A=1")
			require.Equal(t, "1", s.written()["A"])
			s.set("A", "2")
			return s
		}
		t.Run("restart", func(t *testing.T) {
			t.Parallel()
			s := start(t, "restart")
			s.logs("held start", "start A=1", "TERM", "start A=2")
			require.Equal(t, "2", s.written()["A"])
			s.signal(unix.SIGTERM)
			s.exits(7)
		})
		t.Run("signal", func(t *testing.T) {
			t.Parallel()
			s := start(t, "signal=HUP")
			s.logs("held start", "start A=1", "HUP")
			require.Equal(t, "2", s.written()["A"], "the file is there when the signal comes")
			s.set("A", "3")
			s.logs("held start", "start A=1", "HUP", "HUP")
			require.Equal(t, "3", s.written()["A"])
			s.signal(unix.SIGTERM)
			s.exits(7)
		})
		t.Run("exit", func(t *testing.T) {
			t.Parallel()
			s := start(t, "exit")
			s.exits(7)
			s.logs("held start", "start A=1", "held TERM", "held gone", "teardown", "withdrawn", "TERM")
		})
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			s := start(t, "none")
			eventually(t, "the file is current", func() bool { return s.written()["A"] == "2" })
			s.signal(unix.SIGUSR1)
			s.logs("held start", "start A=1", "USR1")
			s.signal(unix.SIGTERM)
			s.exits(7)
			s.logs("held start", "start A=1", "USR1", "held TERM", "held gone", "teardown", "withdrawn", "TERM")
		})
	})
}

// written is what godotenv reads in the file of --write.
func (s *service) written() map[string]string {
	s.t.Helper()
	values, err := godotenv.Read(s.path("env"))
	require.NoError(s.t, err)
	return values
}

// TestStopOfARestart: a restart stops COMMAND as a stop does.
func TestStopOfARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		files := map[string]string{"environment/A": changing, "A.value": "1\n"}
		for name, test := range map[string]struct {
			args []string
			want string
		}{
			"mapped":          {[]string{"--signal-map", "TERM=QUIT"}, "QUIT"},
			"another signal":  {[]string{"--stop-signal", "QUIT"}, "QUIT"},
			"COMMAND is deaf": {[]string{"--grace", "2s"}, "TERM"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, files), append(append([]string{"--refresh", "50ms"}, test.args...), "probe", "watch", "-exit", "QUIT=0", "log", "A")...)
				s.logs("start A=1")
				s.set("A", "2")
				s.logs("start A=1", test.want, "start A=2")
				s.signal(unix.SIGKILL)
				wait(t, s.cmd)
			})
		}
	})
}

// TestNeverTwoCommands: each COMMAND takes a lock, and takes its time to end.
func TestNeverTwoCommands(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("slow", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "0\n"}),
				"--refresh", "20ms", "--grace", "10m", "probe", "watch", "-lock", "lock", "-until", "done", "log", "A")
			s.logs("start A=0")
			for i := 1; i <= 4; i++ {
				s.set("A", fmt.Sprint(i))
				s.logsLine("TERM", i)
				s.refreshed("A", 5) // more changes while it ends
				s.set("A", fmt.Sprintf("%d again", i))
				s.refreshed("A", 5)
				s.touch("done")
				s.logsLine(fmt.Sprintf("start A=%d again", i), 1)
				require.NoError(t, os.Remove(s.path("done")))
			}
			require.NotContains(t, s.log(), "overlap")
			require.Len(t, s.log(), 9)
			s.touch("done")
			s.stop()
		})
		t.Run("its children", func(t *testing.T) {
			t.Parallel()
			// A worker that outlives the leader of the group still holds what the next COMMAND needs.
			s := in.start(t, tree(t, map[string]string{
				"environment/A": changing, "A.value": "0\n",
				"prefork": "#!/bin/sh\nprobe watch -lock lock -exit '' -word worker log A &\nuntil tail -n 1 log | grep -q \"worker start A=$A\\|overlap\"; do sleep 0.02; done\nexec probe watch log A\n",
			}), "--refresh", "20ms", "./prefork")
			s.logs("worker start A=0", "start A=0")
			s.set("A", "1")
			s.logsLine("start A=1", 1)
			require.NotContains(t, s.log(), "worker overlap")
			s.stop()
		})
		t.Run("stopped meanwhile", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "0\n", "export/teardown": teardown}),
				"--refresh", "20ms", "--grace", "10m", "probe", "watch", "-until", "done", "-exit", "TERM=7", "log", "A")
			s.logs("start A=0")
			s.set("A", "1")
			s.logs("start A=0", "TERM")
			s.signal(unix.SIGTERM)
			s.logsLine("withdrawn", 1)
			s.touch("done")
			s.exits(7)
			require.Equal(t, 1, count(s.log(), "start A=0"))
			require.NotContains(t, s.log(), "start A=1")
		})
	})
}

// TestPushedValues: a discoverer that gives 100 values in a second causes one restart, with the last of them.
func TestPushedValues(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		// On a busy machine the values come more slowly than they are gathered: one of some tries is enough.
		for try := 1; ; try++ {
			s := in.start(t, tree(t, map[string]string{"environment/A": "#!/bin/sh\nexec probe push 100 go done\n"}), "probe", "watch", "log", "A")
			s.logs("start A=0")
			s.touch("go")
			longest, err := time.ParseDuration(appears(t, s.path("done")))
			require.NoError(t, err)
			s.logsLine("start A=100", 1)
			s.stop()
			log := s.log()
			if len(log) == 4 || try == 20 {
				require.Equal(t, []string{"start A=0", "TERM", "start A=100", "TERM"}, log, "longest pause %s", longest)
				return
			}
			t.Logf("try %d: %q, longest pause %s", try, log, longest)
		}
	})
}

// TestChangedBack: nothing follows a change that was taken back before anything followed it.
func TestChangedBack(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		files := map[string]string{
			"environment/A": `#!/bin/sh
				echo 1; probe notify READY=1
				until [ -e go ]; do sleep 0.02; done
				echo 2; probe notify READY=1; sleep 0.05
				echo 1; probe notify READY=1
				cp runs done.new; mv done.new done
				sleep 1000 & wait`,
			"environment/B": changing, "B.value": "b\n",
		}
		for _, policy := range []string{"restart", "signal=HUP", "exit"} {
			t.Run(policy, func(t *testing.T) {
				t.Parallel()
				// On a busy machine it may take longer than changes are gathered: one of some tries is enough.
				for try := 1; ; try++ {
					s := in.start(t, tree(t, files), "--refresh", "20ms", "--on-change", policy, "probe", "watch", "log", "A")
					s.logs("start A=1")
					s.touch("go")
					followed := func() bool { return len(s.log()) > 1 }
					since := func() int { return count(lines(s.path("runs")), "B") - count(lines(s.path("done")), "B") }
					eventually(t, "the change was followed, or not for longer than changes are gathered", func() bool {
						return followed() || len(lines(s.path("done"))) > 0 && since() >= 30
					})
					if !followed() || try == 40 {
						require.Equal(t, []string{"start A=1"}, s.log())
						s.stop()
						return
					}
					s.signal(unix.SIGTERM)
					s.ends()
				}
			})
		}
		t.Run("while COMMAND is stopped", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}),
				"--refresh", "20ms", "--grace", "10m", "probe", "watch", "-until", "finish", "log", "A")
			s.logs("start A=1")
			s.set("A", "2")
			s.logs("start A=1", "TERM")
			s.set("A", "1")
			s.refreshed("A", 5)
			s.touch("finish")
			s.logs("start A=1", "TERM", "start A=1")
			s.refreshed("A", 30)
			require.Equal(t, []string{"start A=1", "TERM", "start A=1"}, s.log(), "COMMAND was asked to go, and started again once")
			s.stop()
		})
	})
}

// TestPushFromAShell: a value is what was printed since the last READY=1, all of it.
func TestPushFromAShell(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		need(t, "systemd-notify")
		s := in.start(t, tree(t, map[string]string{"environment/A": `#!/bin/sh
			echo first; systemd-notify --ready
			until [ -e go1 ]; do sleep 0.02; done
			systemd-notify --ready
			systemd-notify STATUS=nothing
			echo first; systemd-notify --ready
			echo second >said
			until [ -e go2 ]; do sleep 0.02; done
			echo two; echo lines; systemd-notify --ready
			until [ -e go3 ]; do sleep 0.02; done
			printf 'a\0b'; systemd-notify --ready
			echo third >said
			sleep 1000 & wait`,
			"environment/B": changing, "B.value": "b\n",
		}), "--refresh", "20ms", "--log-level", "info", "probe", "watch", "log", "A", "B")
		s.logs("start A=first B=b")
		s.touch("go1")
		appears(t, s.path("said"))
		s.refreshed("B", 20) // longer than changes are gathered
		s.signal(unix.SIGUSR1)
		s.logs("start A=first B=b", "USR1") // no new output, or the same value: nothing has changed
		s.touch("go2")
		s.logs("start A=first B=b", "USR1", "TERM", "start A=two", "lines B=b")
		s.touch("go3")
		eventually(t, "a value that cannot be one was said", func() bool { return s.text("said") == "third\n" })
		s.set("B", "b2")
		s.logs("start A=first B=b", "USR1", "TERM", "start A=two", "lines B=b", "TERM", "start A=two", "lines B=b2")
		s.stop()
	})
}

// TestRefusedPush: a pushed value that a refresh would refuse leaves the old one in place.
func TestRefusedPush(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		push := func(first, second string) string {
			return "#!/bin/sh\n" + first + "; probe notify READY=1\nuntil [ -e go ]; do sleep 0.02; done\n" +
				second + "; probe notify READY=1\necho x >said\nsleep 1000 & wait\n"
		}
		for name, test := range map[string]struct {
			args   []string
			entry  string
			script string
		}{
			"too long":               {nil, "A", push("echo a", "head -c 200000 /dev/zero | tr '\\0' x; echo")},
			"required":               {[]string{"--require", "A"}, "A", push("echo a", "echo")},
			"empty":                  {[]string{"--empty", "fail"}, "A", push("echo a", "echo")},
			"a PATH without COMMAND": {nil, "PATH", push(`echo "$PATH"`, "echo /nowhere")},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				files := map[string]string{"environment/" + test.entry: test.script, "environment/B": changing, "B.value": "b\n"}
				s := in.start(t, tree(t, files), append(append([]string{"--refresh", "20ms"}, test.args...), "probe", "watch", "log", "B")...)
				s.logs("start B=b")
				s.touch("go")
				appears(t, s.path("said"))
				s.tells(`(?m)^envharness: warn.*environment/` + test.entry)
				s.refreshed("B", 20) // longer than changes are gathered
				require.Equal(t, []string{"start B=b"}, s.log())
				s.set("B", "b2") // and it still can be started
				s.logs("start B=b", "TERM", "start B=b2")
				s.stop()
			})
		}
		t.Run("an empty one that counts as unset", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": push("echo a", "echo")}), "--empty", "unset", "sh", "-c",
				"echo \"A is ${A-unset}\" >>log; exec probe watch log")
			s.logs("A is a", "start")
			s.touch("go")
			s.logs("A is a", "start", "TERM", "A is unset", "start")
			s.stop()
		})
	})
}

// TestWrite: the file is for COMMAND alone, and whole at any moment.
func TestWrite(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("awkward values", func(t *testing.T) {
			t.Parallel()
			values := map[string]string{
				"PLAIN": "plain", "EMPTY": "", "QUOTES": `it's "quoted"`, "DOLLAR": "$HOME ${HOME} $(id)", "LINES": "one\ntwo\n\nthree",
				"BACKSLASH": `ends in \`, "HASH": "a # b", "BLANKS": "  both  ", "CR": "a\r\nb\r", "UNICODE": "größer ≥", "INVALID": "\xff\xfe",
			}
			files := map[string]string{}
			for name, value := range values {
				files["environment/"+name] = value + "\n"
			}
			files["environment/LINES"] = "#!/bin/sh\nprintf 'one\\ntwo\\n\\nthree\\n\\n'\n"
			files["environment/CR"] = "#!/bin/sh\nprintf 'a\\r\\nb\\r'\n"
			s := in.start(t, tree(t, files), "--write", "env", "probe", "watch", "log")
			s.logs("start")
			require.Equal(t, values, s.written())
			info, err := os.Stat(s.path("env"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode())
			s.stop()
		})
		t.Run("atomic", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"environment/A": "#!/bin/sh\necho run >>runs\nhead -c 20000 /dev/zero | tr '\\0' \"$(($(wc -l <runs) % 10))\"\n",
				"environment/Z": "end\n",
			}), "--refresh", "400ms", "--on-change", "none", "--write", "env", "probe", "watch", "log")
			s.logs("start")
			seen := map[string]bool{}
			eventually(t, "it changes", func() bool {
				content, err := os.ReadFile(s.path("env"))
				require.NoError(t, err, "it is gone for a moment")
				values, err := godotenv.Unmarshal(string(content))
				require.NoError(t, err)
				require.Len(t, values["A"], 20000)
				require.Equal(t, strings.Repeat(values["A"][:1], 20000), values["A"])
				require.Equal(t, "end", values["Z"])
				seen[values["A"][:1]] = true
				return len(seen) >= 4
			})
			s.stop()
			left, err := filepath.Glob(s.path("*env*"))
			require.NoError(t, err)
			hidden, err := filepath.Glob(s.path(".*"))
			require.NoError(t, err)
			require.Len(t, append(left, hidden...), 2, "environment and env: %q %q", left, hidden)
		})
		t.Run("of COMMAND's user", func(t *testing.T) {
			t.Parallel()
			need(t, "root")
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"}),
				"--user", "4242:4343", "--refresh", "20ms", "--on-change", "signal=USR1", "--write", "env",
				"sh", "-c", `trap 'cat env >&3' USR1; exec 3>/dev/null; cat env; while :; do sleep 0.05; done`)
			eventually(t, "COMMAND has read it", func() bool { return s.text("stdout") == "A=1\n" })
			s.set("A", "2")
			eventually(t, "it is current", func() bool { return s.written()["A"] == "2" })
			var info unix.Stat_t
			require.NoError(t, unix.Stat(s.path("env"), &info))
			require.Equal(t, []uint32{4242, 4343, 0o600}, []uint32{info.Uid, info.Gid, info.Mode & 0o7777})
			s.signal(unix.SIGTERM)
			s.exits(143)
		})
		t.Run("a link that COMMAND's user has put there", func(t *testing.T) {
			t.Parallel()
			need(t, "root")
			dir := tree(t, map[string]string{"environment/A": changing, "A.value": "1\n", "secret": "the system's\n"})
			own := filepath.Join(dir, "own")
			require.NoError(t, os.Mkdir(own, 0o755))
			require.NoError(t, os.Chown(own, 4242, 4343))
			s := in.start(t, dir, "--user", "4242:4343", "--refresh", "20ms", "--on-change", "none", "--write", "own/env",
				"sh", "-c", "ln -sf ../secret own/env; echo x >own/linked; while :; do sleep 0.05; done")
			appears(t, filepath.Join(own, "linked"))
			s.set("A", "2")
			eventually(t, "it was written, or refused", func() bool {
				content, _ := os.ReadFile(filepath.Join(own, "env"))
				return strings.Contains(string(content), "A=2") || strings.Contains(s.text("stderr"), "own/env")
			})
			require.Equal(t, "the system's\n", s.text("secret"), "the harness has written as root where only root may")
			s.signal(unix.SIGTERM)
			s.exits(143)
		})
		t.Run("below a link", func(t *testing.T) {
			t.Parallel()
			need(t, "root")
			for name, args := range map[string][]string{"own user": nil, "another user": {"--user", "4242:4343"}} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					dir := tree(t, map[string]string{"environment/A": changing, "A.value": "1\n", "one/x": "", "two/x": ""})
					require.NoError(t, os.Symlink("one", filepath.Join(dir, "link")))
					s := in.start(t, dir, append(append([]string{"--refresh", "20ms", "--on-change", "none", "--write", "link/env"}, args...), "sleep", "1000")...)
					first := appears(t, s.path("one/env"))
					require.Equal(t, "A=1", first)
					// Whoever may do so leads it elsewhere, as Kubernetes does.
					require.NoError(t, os.Symlink("two", filepath.Join(dir, "new")))
					require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "link")))
					s.set("A", "2")
					require.Equal(t, "A=2", appears(t, s.path("two/env")))
					require.Equal(t, "A=1\n", s.text("one/env"))
					target, err := os.Readlink(s.path("link"))
					require.NoError(t, err)
					require.Equal(t, "two", target)
					var info unix.Stat_t
					require.NoError(t, unix.Stat(s.path("two/env"), &info))
					owner := []uint32{0, 0, 0o600}
					if args != nil {
						owner = []uint32{4242, 4343, 0o600}
					}
					require.Equal(t, owner, []uint32{info.Uid, info.Gid, info.Mode & 0o7777})
					s.signal(unix.SIGTERM)
					s.exits(143)
				})
			}
		})
		t.Run("below a link that COMMAND's user has put there", func(t *testing.T) {
			t.Parallel()
			need(t, "root")
			for name, test := range map[string]struct {
				system map[string]string
				sticky bool
				link   string
			}{
				"to a new file":         {map[string]string{"system/x": ""}, false, "ln -s ../system own/sub"},
				"to a file":             {map[string]string{"system/env": "the system's\n"}, false, "ln -s ../system own/sub"},
				"in a sticky directory": {map[string]string{"system/x": ""}, true, "ln -s ../system own/sub"},
				"that is root's":        {map[string]string{"system/x": ""}, false, "mv own/roots own/sub"},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					dir := tree(t, map[string]string{"environment/A": changing, "A.value": "1\n"})
					for path, content := range test.system {
						write(t, filepath.Join(dir, path), content)
					}
					for _, path := range []string{"own", "own/sub"} {
						require.NoError(t, os.Mkdir(filepath.Join(dir, path), 0o755))
						require.NoError(t, os.Chown(filepath.Join(dir, path), 4242, 4343))
					}
					if test.sticky { // as /tmp is
						require.NoError(t, os.Chown(filepath.Join(dir, "own"), 0, 0))
						require.NoError(t, os.Chmod(filepath.Join(dir, "own"), os.ModeSticky|0o777))
					}
					require.NoError(t, os.Symlink("../system", filepath.Join(dir, "own/roots")))
					before, err := os.ReadDir(filepath.Join(dir, "system"))
					require.NoError(t, err)
					s := in.start(t, dir, "--user", "4242:4343", "--refresh", "20ms", "--on-change", "none", "--write", "own/sub/env",
						"sh", "-c", "mv own/sub own/old; "+test.link+"; echo x >own/linked; while :; do sleep 0.05; done")
					appears(t, s.path("own/linked"))
					target, err := os.Readlink(s.path("own/sub"))
					require.NoError(t, err)
					require.Equal(t, "../system", target)
					s.set("A", "2")
					s.tells(`own/sub/env`)
					require.Equal(t, "A=1\n", s.text("own/old/env"))
					after, err := os.ReadDir(filepath.Join(dir, "system"))
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(before), fmt.Sprint(after))
					for path, content := range test.system {
						require.Equal(t, content, s.text(path))
					}
					s.signal(unix.SIGTERM)
					s.exits(143)
				})
			}
		})
		t.Run("cannot be written", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), "--write", "no/such/directory", "touch", "ran")
			s.exits(125)
			require.Regexp(t, `(?m)^envharness: error: .*no/such/directory`, s.text("stderr"))
			require.NoFileExists(t, s.path("ran"))
		})
		t.Run("becomes unwritable", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"environment/A": changing, "A.value": "1\n", "dir/x": ""}),
				"--refresh", "20ms", "--write", "dir/env", "probe", "watch", "log", "A")
			s.logs("start A=1")
			require.NoError(t, os.Rename(s.path("dir"), s.path("gone")))
			s.set("A", "2")
			s.refreshed("A", 5)
			s.tells(`dir/env`)
			// Whatever it decides to do, the harness has not ended and COMMAND runs.
			s.becomes("ready", 0)
			require.NoError(t, os.Rename(s.path("gone"), s.path("dir")))
			s.signal(unix.SIGTERM)
			s.exits(0)
		})
	})
}

// TestChangesTellNoValues: not in the log, not in status.
func TestChangesTellNoValues(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	s := outside.start(t, tree(t, map[string]string{
		"environment/A": changing, "A.value": canary + "1\n",
		"environment/B": "#!/bin/sh\necho " + canary + "\nprobe notify READY=1\nuntil [ -e go ]; do sleep 0.02; done\nprintf '" + canary + "\\0'\nprobe notify READY=1\necho x >said\nsleep 1000 & wait\n",
	}), "--log-level", "debug", "--refresh", "20ms", "--write", "env", "probe", "watch", "log")
	s.logs("start")
	s.set("A", canary+"2")
	s.logs("start", "TERM", "start")
	s.touch("go")
	appears(t, s.path("said"))
	require.NoError(t, os.Remove(s.path("A.value")))
	s.refreshed("A", 3)
	status := s.ask("status")
	s.stop()
	require.Contains(t, s.written()["A"], canary)
	require.NotEmpty(t, s.text("stderr"))
	require.False(t, bytes.Contains([]byte(s.text("stderr")), []byte(canary)), "in the log")
	require.Contains(t, status.stdout, `"A"`)
	require.NotContains(t, status.stdout+status.stderr, canary)
}
