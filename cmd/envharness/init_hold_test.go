//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// notifiers are ways to say READY=1, as lines of a script, and the programs that they need.
var notifiers = map[string]struct {
	needs []string
	line  string
}{
	"sh, by systemd-notify": {[]string{"systemd-notify"}, `systemd-notify --ready`},
	"sh, by socat":          {[]string{"socat"}, `printf READY=1 | socat -u - "ABSTRACT-SENDTO:${NOTIFY_SOCKET#@}"`},
	"Go":                    {nil, `probe notify READY=1`},
	"Python": {[]string{"python3"}, `python3 -c '
import os, socket
address = os.environ["NOTIFY_SOCKET"]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", address.replace("@", "\0", 1))'`},
	"among others": {nil, `probe notify "STATUS=almost
READY=1
MAINPID=$$"`},
}

// TestHeldExecutables: one that says READY=1 is held, with --init and without.
func TestHeldExecutables(t *testing.T) {
	t.Parallel()
	for name, notifier := range notifiers {
		files := map[string]string{
			"export/exporter": "#!/bin/sh\ntrap 'echo exporter TERM >>log; exit 0' TERM\n" + notifier.line + "\necho $$ >exporter.pid\nsleep 1000 & wait\n",
			"environment/A":   "#!/bin/sh\ntrap 'echo discoverer TERM >>log; exit 0' TERM\necho first line\necho 'second line'\n" + notifier.line + "\necho $$ >discoverer.pid\nsleep 1000 & wait\n",
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, notifier.needs...)
			t.Run("with --init", func(t *testing.T) {
				everywhere(t, func(t *testing.T, in place) {
					s := in.start(t, tree(t, files), "probe", "watch", "log", "A")
					appears(t, s.path("exporter.pid"))
					appears(t, s.path("discoverer.pid"))
					s.logs("start A=first line", "second line")
					s.stop()
					require.Less(t, at(s.log(), "exporter TERM"), at(s.log(), "TERM"))
					nothingLives(t, "TEST_MARK="+s.dir)
				})
			})
			t.Run("without", func(t *testing.T) {
				t.Parallel()
				require.NoError(t, buildProbe())
				dir := tree(t, files)
				cmd := harness(t, dir, with("sh", "-c", "printf %s \"$A\" >value; exec sleep 1000")...)
				cmd.Stdout, cmd.Stderr = nil, nil
				mark := marked(t, cmd)
				require.NoError(t, cmd.Start())
				require.Equal(t, "first line\nsecond line", appears(t, dir+"/value"))
				exporter := pidIn(t, dir+"/exporter.pid")
				require.False(t, dead(exporter), "a held exporter runs on beside COMMAND")
				require.Equal(t, []string{"discoverer TERM"}, lines(dir+"/log"), "a held discoverer is ended after its first value")
				require.NoError(t, cmd.Process.Kill())
				wait(t, cmd)
				require.NotEmpty(t, living(t, mark))
			})
		})
	}
}

// TestNotifierIsNotKeptWaiting: BARRIER=1, which systemd-notify sends too, is answered while start-up goes on.
func TestNotifierIsNotKeptWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"export/a":      "#!/bin/sh\nprobe notify READY=1\necho said >>log\nsleep 1000\n",
			"environment/A": "#!/bin/sh\necho a\nprobe notify READY=1\necho said >>log\nsleep 1000\n",
			"environment/B": "#!/bin/sh\nuntil [ \"$(grep -c said log)\" = 2 ]; do sleep 0.02; done 2>/dev/null\n",
		}), "--timeout", "1m", "probe", "watch", "log")
		s.logs("said", "said", "start")
		s.stop()
	})
}

// TestHeldMustBeReadyInTime: whoever does not exit has --timeout to say READY=1.
func TestHeldMustBeReadyInTime(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for name, script := range map[string]string{
			"silent":      "#!/bin/sh\nsleep 1000\n",
			"other words": "#!/bin/sh\nprobe notify READY=0\nprobe notify STATUS=READY=1\nprobe notify ' READY=1'\nprobe notify READY=11\nsleep 1000\n",
			"other user":  "#!/bin/sh\nsetpriv --reuid 65534 --regid 65534 --clear-groups probe notify READY=1 && echo said >>log\nsleep 1000\n",
		} {
			for _, entry := range []string{"export/a", "environment/A"} {
				t.Run(name+" in "+entry, func(t *testing.T) {
					t.Parallel()
					need(t, "root", "setpriv")
					s := in.start(t, tree(t, map[string]string{entry: script}), "--timeout", "6s", "touch", "ran")
					s.exits(125)
					if name == "other user" && len(s.log()) == 0 { // on a busy machine that may not have been time enough to say it
						s = in.start(t, tree(t, map[string]string{entry: script}), "--timeout", "1m", "touch", "ran")
						s.exits(125)
					}
					if name == "other user" {
						require.Equal(t, []string{"said"}, s.log())
					}
					require.Regexp(t, "(?m)^envharness: error: "+entry, s.text("stderr"))
					require.NoFileExists(t, s.path("ran"))
					nothingLives(t, "TEST_MARK="+s.dir)
				})
			}
		}
	})
}

// TestNotifySockets: each executable has one of its own, COMMAND the one that was inherited.
func TestNotifySockets(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		tell := "#!/bin/sh\necho ${0##*/} $NOTIFY_SOCKET >>sockets\n"
		files := map[string]string{"export/a": tell, "export/b": tell, "environment/A": tell, "environment/B": tell}
		for name, test := range map[string]struct{ inherited, command string }{
			"inherited": {"/run/the/outer", "/run/the/outer"},
			"none":      {"", ""},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cmd := in.initCommand(t, tree(t, files), "probe", "watch", "log", "NOTIFY_SOCKET")
				if test.inherited != "" {
					cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+test.inherited)
				}
				s := in.startCommand(t, cmd)
				s.logs("start NOTIFY_SOCKET=" + test.command)
				seen := map[string]bool{}
				for _, line := range lines(s.path("sockets")) {
					_, address, _ := strings.Cut(line, " ")
					require.Regexp(t, "^@.", address, line)
					seen[address] = true
				}
				require.Len(t, seen, 4)
				s.stop()
			})
			t.Run(name+", without --init", func(t *testing.T) {
				t.Parallel()
				cmd := harness(t, tree(t, files), with("sh", "-c", "echo $NOTIFY_SOCKET")...)
				if test.inherited != "" {
					cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+test.inherited)
				}
				require.Equal(t, test.command+"\n", succeeds(t, cmd))
				for _, line := range lines(filepath.Join(cmd.Dir, "sockets")) {
					require.Regexp(t, "^[aAbB] @.", line)
				}
				require.Len(t, lines(filepath.Join(cmd.Dir, "sockets")), 4)
			})
		}
	})
}

// TestHeldExporterIsRestarted: a registration is kept alive, and not by trying as fast as the machine can.
func TestHeldExporterIsRestarted(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Run("killed", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/held": held, "export/teardown": teardown}), "probe", "watch", "log")
			s.logs("held start", "start")
			for starts := 2; starts <= 3; starts++ {
				require.NoError(t, unix.Kill(s.seen(pidIn(t, s.path("held.pid"))), unix.SIGKILL))
				s.logsLine("held start", starts)
				eventually(t, "it told its process ID", func() bool { return !dead(s.seen(pidIn(t, s.path("held.pid")))) })
			}
			s.stop()
			require.Equal(t, []string{"held start", "start", "held start", "held start", "held TERM", "held gone", "teardown", "withdrawn", "TERM"}, s.log())
			require.Regexp(t, "export/held", s.text("stderr"), "it is worth a warning")
		})
		t.Run("exits", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/held": "#!/bin/sh\necho held start >>log\nprobe notify READY=1\n"}), "probe", "watch", "log")
			s.logsLine("start", 1)
			s.logsLine("held start", 3)
			s.stop()
		})
		t.Run("with back-off", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"export/held": "#!/bin/sh\necho held start >>log\nprobe notify READY=1\n[ -e stays ] || exit 1\nsleep 1000\n",
			}), "probe", "watch", "log")
			s.logsLine("held start", 2)
			// A slow machine starts it less often, never more often.
			time.Sleep(3 * time.Second)
			require.Less(t, count(s.log(), "held start"), 30)
			s.answers("ready", 0)
			s.stop()
		})
		t.Run("not ready again", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{
				"export/held": "#!/bin/sh\necho held start >>log\n[ -e broken ] && exit 1\nprobe notify READY=1\necho $$ >held.pid\nsleep 1000\n",
			}), "probe", "watch", "log")
			s.logsLine("start", 1)
			s.touch("broken")
			require.NoError(t, unix.Kill(s.seen(pidIn(t, s.path("held.pid"))), unix.SIGKILL))
			s.logsLine("held start", 3)
			s.signal(unix.SIGUSR1)
			s.logsLine("USR1", 1)
			require.NoError(t, os.Remove(s.path("held.pid")))
			require.NoError(t, os.Remove(s.path("broken")))
			pidIn(t, s.path("held.pid"))
			s.stop()
		})
	})
}

// seen is how this test knows the process that has the ID pid in the harness's own namespace.
func (s *service) seen(pid int) int {
	namespace, err := os.Readlink("/proc/" + strconv.Itoa(s.pid) + "/ns/pid")
	require.NoError(s.t, err)
	for _, other := range processes(s.t) {
		ids := strings.Fields(statusOf(other, "NSpid"))
		if len(ids) == 0 || ids[len(ids)-1] != strconv.Itoa(pid) {
			continue
		}
		if its, _ := os.Readlink("/proc/" + strconv.Itoa(other) + "/ns/pid"); its == namespace {
			return other
		}
	}
	return 1 << 30
}

// TestHeldDiscovererDies: its last value stays.
func TestHeldDiscovererDies(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{
			"environment/A": "#!/bin/sh\necho run >>runs\n[ -e failing ] && exit 1\necho value\nprobe notify READY=1\necho $$ >pid\nsleep 1000\n",
		}), "--refresh", "20ms", "--on-change", "restart", "probe", "watch", "log", "A")
		s.logs("start A=value")
		s.touch("failing")
		require.NoError(t, unix.Kill(s.seen(pidIn(t, s.path("pid"))), unix.SIGKILL))
		eventually(t, "it was started again, in vain", func() bool { return len(lines(s.path("runs"))) >= 3 })
		s.signal(unix.SIGUSR1)
		s.logs("start A=value", "USR1")
		s.stop()
	})
}
