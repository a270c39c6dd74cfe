//go:build linux

package main_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// unforwarded are the signals that the harness keeps: they are about itself, or cannot be caught.
var unforwarded = []unix.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU}

// forwarded are the signals that COMMAND gets and that begin nothing. PROF is left out, which Go keeps for its
// profiler.
func forwarded() []unix.Signal {
	none := append([]unix.Signal{
		unix.SIGKILL, unix.SIGSTOP, unix.SIGTERM, unix.SIGINT, 32, 33, 34,
		unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS, unix.SIGPROF,
	}, unforwarded...)
	var all []unix.Signal
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if !slices.Contains(none, sig) {
			all = append(all, sig)
		}
	}
	return all
}

// short is a signal's name as the probe logs it.
func short(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}

func TestEverySignalIsForwarded(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, nil), "probe", "watch", "log")
		want := []string{"start"}
		s.logs(want...)
		sent := forwarded()
		require.Len(t, sent, 45)
		again := slices.Clone(sent)
		rand.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for _, sig := range append(sent, again...) {
			s.signal(sig)
			want = append(want, short(sig))
			s.logs(want...)
		}
		s.stop()
		require.Equal(t, append(want, "TERM"), s.log())
	})
}

// TestManySignalsAtOnce: none is lost while the harness has no time for them.
func TestManySignalsAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, nil), "probe", "watch", "log")
		s.logs("start")
		require.NoError(t, unix.Kill(s.pid, unix.SIGSTOP))
		eventually(t, "the harness is stopped", func() bool { return strings.HasPrefix(statusOf(s.pid, "State"), "T") })
		want := []string{"start"}
		for _, sig := range forwarded() {
			// CONT would let it go on, and takes a pending TSTP away.
			if sig != unix.SIGCONT && sig != unix.SIGTSTP {
				s.signal(sig)
				want = append(want, short(sig))
			}
		}
		require.NoError(t, unix.Kill(s.pid, unix.SIGCONT))
		want = append(want, "CONT")
		for _, line := range want {
			s.logsLine(line, 1)
		}
		s.stop()
		require.ElementsMatch(t, append(want, "TERM"), s.log())
	})
}

func TestUnforwardedSignals(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, nil), "probe", "watch", "log")
		want := []string{"start"}
		s.logs(want...)
		for _, sig := range unforwarded {
			for range 3 {
				s.signal(sig)
			}
			// What is forwarded later arrives later, and the harness is neither stopped nor ended.
			for range 2 {
				s.signal(unix.SIGUSR1)
				want = append(want, "USR1")
				s.logs(want...)
			}
		}
		s.stop()
		require.Equal(t, append(want, "TERM"), s.log())
	})
}

// TestStopSignals: a stop begins at TERM and INT, and COMMAND gets what was sent.
func TestStopSignals(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, test := range []struct {
			args  []string
			sent  unix.Signal
			after []string
		}{
			{nil, unix.SIGTERM, []string{"teardown", "withdrawn", "TERM"}},
			{nil, unix.SIGINT, []string{"teardown", "withdrawn", "INT"}},
			{[]string{"--stop-signal", "QUIT"}, unix.SIGQUIT, []string{"teardown", "withdrawn", "QUIT"}},
			{[]string{"--stop-signal", "SIGUSR2"}, unix.SIGUSR2, []string{"teardown", "withdrawn", "USR2"}},
			{[]string{"--stop-signal", "40"}, 40, []string{"teardown", "withdrawn", "40"}},
			// Only forwarded: COMMAND ends by itself, then comes the withdrawal.
			{nil, unix.SIGQUIT, []string{"QUIT", "teardown", "withdrawn"}},
			// As received: the map changes what COMMAND gets, not when a stop begins.
			{[]string{"--signal-map", "TERM=QUIT"}, unix.SIGTERM, []string{"teardown", "withdrawn", "QUIT"}},
			{[]string{"--signal-map", "USR1=TERM"}, unix.SIGUSR1, []string{"TERM", "teardown", "withdrawn"}},
		} {
			t.Run(fmt.Sprint(test.args, short(test.sent)), func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, map[string]string{"export/teardown": teardown}),
					append(test.args, "probe", "watch", "-exit", "TERM=7,INT=7,QUIT=7,USR2=7,40=7", "log")...)
				s.logs("start")
				s.signal(test.sent)
				s.exits(7)
				s.logs(append([]string{"start"}, test.after...)...)
			})
		}
	})
}

// TestSignalsDuringAStop: they are COMMAND's at once, also the one of an impatient user, which is not sent again when
// the withdrawal is done.
func TestSignalsDuringAStop(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		s := in.start(t, tree(t, map[string]string{"export/teardown": gated("torn") + "echo withdrawn >>log\n"}),
			"--grace", "10m", "probe", "watch", "-exit", "QUIT=7", "log")
		s.logs("start")
		s.signal(unix.SIGTERM)
		appears(t, s.path("torn.waits"))
		s.signal(unix.SIGUSR1)
		s.logs("start", "USR1")
		s.signal(unix.SIGINT)
		s.logs("start", "USR1", "INT")
		s.touch("torn")
		s.logs("start", "USR1", "INT", "withdrawn")
		s.signal(unix.SIGHUP)
		s.logs("start", "USR1", "INT", "withdrawn", "HUP")
		s.signal(unix.SIGQUIT)
		s.exits(7)
		require.Equal(t, []string{"start", "USR1", "INT", "withdrawn", "HUP", "QUIT"}, s.log())
	})
}

func TestSignalMap(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, test := range []struct {
			rules string
			sent  []unix.Signal
			got   []string
		}{
			{"USR1=USR2", []unix.Signal{unix.SIGUSR1, unix.SIGUSR2}, []string{"USR2", "USR2"}},
			{"USR1=USR2,USR2=USR1", []unix.Signal{unix.SIGUSR1, unix.SIGUSR2}, []string{"USR2", "USR1"}},
			{"USR1=0,WINCH=0", []unix.Signal{unix.SIGUSR1, unix.SIGWINCH, unix.SIGUSR1, unix.SIGHUP}, []string{"HUP"}},
			{"SIGUSR1=SIGHUP", []unix.Signal{unix.SIGUSR1}, []string{"HUP"}},
			{"10=12", []unix.Signal{unix.SIGUSR1}, []string{"USR2"}},
			{"HUP=64,64=HUP", []unix.Signal{unix.SIGHUP, 64}, []string{"64", "HUP"}},
			{"USR1=TERM", []unix.Signal{unix.SIGUSR1, unix.SIGHUP}, []string{"TERM", "HUP"}},
		} {
			t.Run(test.rules, func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, nil), "--signal-map", test.rules, "probe", "watch", "-exit", "QUIT=0", "log")
				want := []string{"start"}
				s.logs(want...)
				dropped := len(test.sent) - len(test.got)
				for i, sig := range test.sent {
					s.signal(sig)
					if i >= dropped {
						want = append(want, test.got[i-dropped])
						s.logs(want...)
					}
				}
				s.signal(unix.SIGQUIT)
				s.exits(0)
				require.Equal(t, append(want, "QUIT"), s.log())
			})
		}
	})
}

func TestGroup(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		family := []string{"sh", "-c", "probe watch -word child log & exec probe watch -word leader log"}
		t.Run("off", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), family...)
			s.logsLine("leader start", 1)
			s.logsLine("child start", 1)
			s.signal(unix.SIGUSR1)
			s.logsLine("leader USR1", 1)
			s.stop()
			require.ElementsMatch(t, []string{"child start", "leader start", "leader USR1", "leader TERM", "child TERM"}, s.log(), "the child gets TERM when COMMAND has exited")
		})
		t.Run("on", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, nil), append([]string{"--group"}, family...)...)
			s.logsLine("leader start", 1)
			s.logsLine("child start", 1)
			s.signal(unix.SIGUSR1)
			s.logsLine("leader USR1", 1)
			s.logsLine("child USR1", 1)
			s.stop()
			s.logsLine("child TERM", 1)
			require.Equal(t, 1, count(s.log(), "leader TERM"))
			require.Equal(t, 1, count(s.log(), "child USR1"))
		})
	})
}

// TestSignalBeforeCommand: what does not end start-up is COMMAND's when it comes to exist.
func TestSignalBeforeCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, 40, 64} {
			t.Run(short(sig), func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, map[string]string{"export/a": gated("go")}), "sleep", "1000")
				appears(t, s.path("go.waits"))
				s.signal(sig)
				s.touch("go")
				s.exits(128 + int(sig))
			})
		}
		t.Run("dropped", func(t *testing.T) {
			t.Parallel()
			s := in.start(t, tree(t, map[string]string{"export/a": gated("go")}), "--signal-map", "USR1=0", "probe", "watch", "log")
			appears(t, s.path("go.waits"))
			s.signal(unix.SIGUSR1)
			s.touch("go")
			s.logs("start")
			s.stop()
		})
		t.Run("all", func(t *testing.T) {
			t.Parallel()
			need(t, "env")
			// COMMAND is born with them blocked, so that it can wait for them. CONT is left out: Go unblocks it before
			// it catches it.
			early := []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGIO, 40, 41, 64}
			cmd := in.initCommand(t, tree(t, map[string]string{"export/a": gated("go")}), "env", blocked(early), "probe", "watch", "log")
			cmd.Args = slices.Insert(cmd.Args, len(in.wrap), "env", blocked(early))
			cmd.Path = lookUp(t, cmd.Args[0])
			s := in.startCommand(t, cmd)
			appears(t, s.path("go.waits"))
			for _, sig := range early {
				s.signal(sig)
			}
			s.touch("go")
			for _, sig := range early {
				s.logsLine(short(sig), 1)
			}
			s.stop()
			require.Len(t, s.log(), len(early)+2)
		})
	})
}

// blocked is the option of env(1) that blocks signals for what it starts.
func blocked(signals []unix.Signal) string {
	var numbers []string
	for _, sig := range signals {
		numbers = append(numbers, strconv.Itoa(int(sig)))
	}
	return "--block-signal=" + strings.Join(numbers, ",")
}

// TestSignalEndsInitStartUp: TERM and INT before COMMAND exists end start-up, and nothing is left.
func TestSignalEndsInitStartUp(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
			t.Run(short(sig), func(t *testing.T) {
				t.Parallel()
				s := in.start(t, tree(t, map[string]string{
					"export/held":   held,
					"environment/A": "#!/bin/sh\ntrap 'echo A ended >>log; exit 1' TERM INT\necho x >going\nsleep 1000 & wait\n",
					"environment/B": "#!/bin/sh\necho B ran >>log\n",
				}), "probe", "watch", "log")
				appears(t, s.path("going"))
				s.signal(sig)
				s.exits(128 + int(sig))
				require.ElementsMatch(t, []string{"held start", "A ended", "held TERM", "held gone"}, s.log())
				nothingLives(t, "TEST_MARK="+s.dir)
			})
		}
	})
}

// TestSignalAroundCommandsStart: one that comes while COMMAND is being started ends start-up or is COMMAND's, and is
// never lost.
func TestSignalAroundCommandsStart(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\necho x >>resolving\n"})
		started, ended := 0, 0
		span := 5 * time.Millisecond // from the executable to COMMAND, roughly
		for i := range 60 {
			sig := []unix.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGINT, 40}[i%4]
			for _, name := range []string{"resolving", "started"} {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
			}
			s := in.start(t, dir, "sh", "-c", "echo x >started; exec sleep 1000")
			appears(t, s.path("resolving"))
			time.Sleep(rand.N(span))
			s.signal(sig)
			s.exits(128 + int(sig))
			nothingLives(t, "TEST_MARK="+dir)
			if s.text("started") != "" {
				started++
				span -= span / 8
			} else {
				ended++
				span += span / 8
			}
		}
		t.Logf("%d met COMMAND at work, %d came before", started, ended)
	})
}

// TestInitDispositions: what COMMAND inherits is what it would inherit without --init.
func TestInitDispositions(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		need(t, "env", "nohup")
		status := func(t *testing.T, before ...string) string {
			cmd := in.initCommand(t, tree(t, nil), "cat", "/proc/self/status")
			cmd.Args = slices.Insert(cmd.Args, len(in.wrap), before...)
			cmd.Path = lookUp(t, cmd.Args[0])
			require.Equal(t, 0, run(t, cmd).code)
			content, err := os.ReadFile(filepath.Join(cmd.Dir, "stdout"))
			require.NoError(t, err)
			return string(content)
		}
		mask := func(signals ...unix.Signal) string {
			bits := uint64(0)
			for _, sig := range signals {
				bits |= 1 << (sig - 1)
			}
			return fmt.Sprintf("%016x", bits)
		}
		for _, test := range []struct {
			before           string
			ignored, blocked string
		}{
			{"env", mask(), mask()},
			{"nohup", mask(unix.SIGHUP), mask()},
			{"env --ignore-signal=HUP --ignore-signal=INT", mask(unix.SIGHUP, unix.SIGINT), mask()},
			{"env --ignore-signal=TSTP --ignore-signal=TTIN --ignore-signal=TTOU --ignore-signal=CONT", mask(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT), mask()},
			// Go catches them before main begins.
			{"env --ignore-signal=PIPE --ignore-signal=CHLD --ignore-signal=USR1 --ignore-signal=TERM --ignore-signal=QUIT --ignore-signal=HUP", mask(unix.SIGHUP), mask()},
			{"env --block-signal=USR1 --block-signal=PIPE --block-signal=TSTP", mask(), mask(unix.SIGUSR1, unix.SIGPIPE, unix.SIGTSTP)},
			{"env --block-signal=TTIN --block-signal=URG", mask(), mask(unix.SIGTTIN, unix.SIGURG)},
			// Go never leaves them blocked.
			{"env --block-signal=HUP --block-signal=INT --block-signal=QUIT --block-signal=TERM --block-signal=PROF --block-signal=TTOU", mask(), mask(unix.SIGTTOU)},
		} {
			t.Run(test.before, func(t *testing.T) {
				t.Parallel()
				got := status(t, strings.Fields(test.before)...)
				require.Equal(t, test.ignored, field(got, "SigIgn"))
				require.Equal(t, test.blocked, field(got, "SigBlk"))
				require.Equal(t, mask(), field(got, "SigCgt"))
			})
		}
	})
}

func lookUp(t *testing.T, name string) string {
	t.Helper()
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		if path := filepath.Join(dir, name); unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	if filepath.IsAbs(name) {
		return name
	}
	t.Fatalf("no %s", name)
	return ""
}

// TestInitUnderNohup: a hangup that came in ignored reaches neither the harness nor COMMAND.
func TestInitUnderNohup(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		need(t, "nohup")
		cmd := in.initCommand(t, tree(t, nil), "sh", "-c", "trap 'echo USR1 >>log; exit 3' USR1; echo start >>log; while :; do sleep 0.02; done")
		cmd.Args = slices.Insert(cmd.Args, len(in.wrap), "nohup")
		cmd.Path = lookUp(t, cmd.Args[0])
		s := in.startCommand(t, cmd)
		s.logs("start")
		for range 3 {
			s.signal(unix.SIGHUP)
		}
		s.signal(unix.SIGUSR1)
		s.exits(3)
		s.logs("start", "USR1")
	})
}

// TestParentDeathSignal: who started the harness may die without a word.
func TestParentDeathSignal(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, args ...string) (s *service, parent int) {
		cmd := outside.initCommand(t, tree(t, map[string]string{"export/held": held}), append(args, "probe", "watch", "log")...)
		cmd.Args = append([]string{"sh", "-c", `"$@" & echo $! >pid; wait`, "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
		require.NoError(t, cmd.Start())
		s = &service{t: t, cmd: cmd, dir: cmd.Dir, pid: pidIn(t, filepath.Join(cmd.Dir, "pid"))}
		s.logs("held start", "start")
		require.NoError(t, cmd.Process.Kill())
		s.exits(-1)
		return s, cmd.Process.Pid
	}
	t.Run("TERM", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, "--parent-death-signal", "TERM")
		s.logs("held start", "start", "held TERM", "held gone", "TERM")
		eventually(t, "the harness ends", func() bool { return dead(s.pid) })
	})
	t.Run("another", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, "--parent-death-signal", "SIGUSR1")
		s.logs("held start", "start", "USR1")
		require.False(t, dead(s.pid))
	})
	t.Run("KILL", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, "--parent-death-signal", "KILL")
		eventually(t, "the harness ends", func() bool { return dead(s.pid) })
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		s, parent := start(t)
		eventually(t, "it has another parent", func() bool { return statusOf(s.pid, "PPid") != strconv.Itoa(parent) })
		s.signal(unix.SIGHUP)
		s.logs("held start", "start", "HUP")
	})
}

// TestClosedStderr: nobody reads what the harness says, and it goes on.
func TestClosedStderr(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		// Each refresh fails, which is worth a warning.
		files := map[string]string{
			"environment/A":   "#!/bin/sh\necho run >>runs\n[ ! -e failing ] || exit 1\necho a\n",
			"export/restart":  "#!/bin/sh\necho exporter >>runs\nprobe notify READY=1\nexit 1\n",
			"export/teardown": "#!/bin/sh\necho teardown >>log\nexit 1\n",
		}
		args := []string{"--refresh", "20ms", "--log-level", "debug", "probe", "watch", "-exit", "TERM=7", "log"}
		lives := func(s *service) {
			s.logs("start")
			s.touch("failing")
			before := count(lines(s.path("runs")), "run")
			eventually(t, "it has failed", func() bool { return count(lines(s.path("runs")), "run") >= before+4 })
			eventually(t, "an exporter was started again", func() bool { return count(lines(s.path("runs")), "exporter") >= 2 })
			s.signal(unix.SIGUSR1)
			s.logs("start", "USR1")
			s.answers("ready", 0)
			s.signal(unix.SIGTERM)
			s.exits(7)
			require.Equal(t, []string{"start", "USR1", "teardown", "TERM"}, s.log())
		}
		t.Run("by its reader", func(t *testing.T) {
			t.Parallel()
			cmd := in.initCommand(t, tree(t, files), args...)
			read, write, err := os.Pipe()
			require.NoError(t, err)
			cmd.Stderr = write
			s := in.startCommand(t, cmd)
			require.NoError(t, write.Close())
			_, err = io.ReadAtLeast(read, make([]byte, 1), 1)
			require.NoError(t, err, "it has said nothing")
			require.NoError(t, read.Close())
			lives(s)
		})
		t.Run("from the beginning", func(t *testing.T) {
			t.Parallel()
			cmd := in.initCommand(t, tree(t, files), args...)
			cmd.Args = slices.Insert(cmd.Args, len(in.wrap), "sh", "-c", `exec "$@" 2>&-`, "sh")
			cmd.Path = lookUp(t, cmd.Args[0])
			s := in.startCommand(t, cmd)
			lives(s)
		})
		t.Run("full", func(t *testing.T) {
			t.Parallel()
			// A reader that does not read, such as a log driver that hangs, must not keep a signal from COMMAND.
			cmd := in.initCommand(t, tree(t, files), args...)
			read, write, err := os.Pipe()
			require.NoError(t, err)
			defer read.Close()
			defer write.Close()
			fillPipe(t, write)
			cmd.Stderr = write
			lives(in.startCommand(t, cmd))
		})
	})
}

// fillPipe writes to a pipe until not one byte more has room. The open file of the pipe's users stays a blocking one.
func fillPipe(t *testing.T, pipe *os.File) {
	t.Helper()
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", pipe.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	for chunk := make([]byte, 4096); len(chunk) > 0; {
		if _, err := unix.Write(fd, chunk); err != nil {
			require.ErrorIs(t, err, unix.EAGAIN)
			chunk = chunk[:len(chunk)/2]
		}
	}
}
