//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is one that somebody sits at: what is typed goes to the programs on it, what they show is kept.
type terminal struct {
	t     *testing.T
	keys  *os.File // the master's end
	slave *os.File
	mark  string // in the environment of whoever runs on it

	mu    sync.Mutex
	shown []byte
}

// openPair opens the two ends of a new terminal: whoever sits at it, and the programs on it.
func openPair(t *testing.T) (master, slave *os.File) {
	t.Helper()
	// Non-blocking, so that closing it ends a read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return os.NewFile(uintptr(fd), "/dev/ptmx"), slave
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, slave := openPair(t)
	screen := &terminal{t: t, keys: master, slave: slave}
	read := make(chan struct{})
	go func() {
		defer close(read)
		screen.record()
	}()
	t.Cleanup(func() {
		master.Close() // a hang-up for whoever is still there
		<-read
		slave.Close()
	})
	return screen
}

func (s *terminal) record() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.keys.Read(buffer)
		s.mu.Lock()
		s.shown = append(s.shown, buffer[:n]...)
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// run starts cmd on the terminal, as the leader of its session.
func (s *terminal) run(cmd *exec.Cmd) {
	s.t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(cmd.Environ(), "TERM=dumb", "PS1=ready> ", "ENV=", "HISTFILE=")
	s.mark = "TERMINAL=" + s.slave.Name() + cmd.Dir
	cmd.Env = append(cmd.Env, s.mark)
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		for _, pid := range living(s.t, s.mark) {
			unix.Kill(pid, unix.SIGKILL)
		}
	})
}

func (s *terminal) types(text string) {
	s.t.Helper()
	_, err := s.keys.WriteString(text)
	require.NoError(s.t, err)
}

func (s *terminal) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(string(s.shown), "\r\n", "\n")
}

// shows waits until something is shown after what was looked for before.
func (s *terminal) shows(pattern string) {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	found := reaches(func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		where := expression.FindIndex([]byte(strings.ReplaceAll(string(s.shown), "\r\n", "\n")))
		if where != nil {
			s.shown = []byte(strings.ReplaceAll(string(s.shown), "\r\n", "\n"))[where[1]:]
		}
		return where != nil
	})
	require.True(s.t, found, "not shown: %s, but %q", pattern, s.screen())
}

const (
	interrupt = "\x03" // Ctrl-C
	suspend   = "\x1a" // Ctrl-Z
	endOfFile = "\x04" // Ctrl-D
)

// where tells of a process its group, and the terminal's foreground group.
const where = `read -r stat </proc/$$/stat; set -- $stat; [ $1 = $5 ] && echo own group; [ $5 = $8 ] && echo in front;`

func TestTerminalIsCommands(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		start := func(t *testing.T, files map[string]string, args ...string) (*service, *terminal) {
			screen := openTerminal(t)
			cmd := in.initCommand(t, tree(t, files), args...)
			screen.run(cmd)
			return &service{t: t, cmd: cmd, dir: cmd.Dir}, screen
		}
		t.Run("in front", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, nil, "sh", "-c", where+"tty; read line; echo \"got $line\"; stty size")
			screen.shows(`own group\nin front\n/dev/pts/`)
			screen.types("a line\n")
			screen.shows("got a line\n")
			s.exits(0)
		})
		t.Run("end of input", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, nil, "sh", "-c", "stty -echo; echo begin; exec sort -r")
			screen.shows("begin\n")
			screen.types("1\n2\n3\n" + endOfFile)
			screen.shows("^3\n2\n1\n$")
			s.exits(0)
		})
		t.Run("Ctrl-C", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, map[string]string{"export/held": held, "export/teardown": teardown}, "sh", "-c",
				"probe watch -word child -exit '' log & exec probe watch -exit QUIT=7 log")
			s.logsLine("start", 1)
			s.logsLine("child start", 1)
			screen.types(interrupt)
			s.logsLine("INT", 1)
			s.logsLine("child INT", 1)
			screen.types("\x1c")
			s.exits(7)
			// The terminal has told COMMAND's group, once, and nobody else.
			require.Equal(t, 1, count(s.log(), "INT"))
			require.Equal(t, 1, count(s.log(), "child INT"))
			withdrawal := slices.DeleteFunc(s.log(), func(line string) bool { return line == "child QUIT" || line == "child TERM" })
			require.Equal(t, []string{"held TERM", "held gone", "teardown", "withdrawn"}, withdrawal[max(0, len(withdrawal)-4):])
		})
		t.Run("Ctrl-C ends it", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, nil, "sh", "-c", "echo begin; exec sleep 1000")
			screen.shows("begin\n")
			screen.types(interrupt)
			s.exits(130)
		})
		t.Run("size", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, nil, "probe", "watch", "log")
			s.logs("start")
			require.NoError(t, unix.IoctlSetWinsize(int(screen.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 77}))
			s.logsLine("WINCH", 1)
			screen.types(interrupt)
			s.logsLine("INT", 1)
			require.Equal(t, []string{"start", "WINCH", "INT"}, s.log())
		})
		t.Run("after a restart", func(t *testing.T) {
			t.Parallel()
			s, screen := start(t, map[string]string{"environment/A": changing, "A.value": "1\n"}, "--refresh", "50ms",
				"sh", "-c", `echo "A is $A"; `+where+`read line; echo "got $line"`)
			screen.shows(`A is 1\nown group\nin front\n`)
			s.set("A", "2")
			screen.shows(`A is 2\nown group\nin front\n`)
			screen.types("a line\n")
			screen.shows("got a line\n")
			s.exits(0)
		})
		t.Run("job control within", func(t *testing.T) {
			t.Parallel()
			need(t, "bash")
			s, screen := start(t, nil, "bash", "--norc", "--noprofile", "-i")
			screen.shows(prompt)
			screen.types("echo flags [$-]\n")
			screen.shows(`flags \[\w*m\w*\]\n`)
			jobControl(screen)
			backgroundRead(screen)
			screen.types("exit 5\n")
			s.exits(5)
			require.NotContains(t, screen.screen(), "no job control")
		})
	})
}

// prompt is what an interactive shell shows, and busybox's asks the terminal then where the cursor is.
const prompt = `ready> (\x1b\[6n)?$`

// jobControl sits at an interactive shell, suspends a job and takes it back.
func jobControl(screen *terminal) {
	screen.shows(prompt)
	screen.types("sh -c 'echo job begins; read line; echo \"job got $line\"; exec sleep 1000'\n")
	screen.shows(`job begins\n`)
	screen.types(suspend)
	screen.shows(`Stopped[^\n]*\n`)
	screen.shows(prompt)
	screen.types("echo shell $((1+1))\n")
	screen.shows(`shell 2\n`)
	screen.types("fg\n")
	screen.types("hello\n")
	screen.shows(`job got hello\n`)
	screen.types(interrupt)
	screen.shows(prompt)
}

// backgroundRead lets a job that runs in the background read the terminal: that stops it, and in front it goes on.
func backgroundRead(screen *terminal) {
	screen.types("sh -c 'echo job begins; read line; echo \"job got $line\"' &\n")
	stoppedByARead(screen, "tty input")
	screen.types("hello\n")
	screen.shows(`job got hello\n`)
	screen.shows(prompt)
}

// stoppedByARead waits until a shell tells that its job in the background was stopped, and by what, and brings it to the front. The
// harness as a job of it follows COMMAND by a signal of its own.
func stoppedByARead(screen *terminal, by string) {
	screen.shows(`job begins\n`)
	screen.types("until jobs | grep -q Stopped; do sleep 0.05; done; jobs -l\n")
	screen.shows(`Stopped \(` + by + `\)[^\n]*\n`)
	screen.shows(prompt)
	screen.types("fg\n")
	screen.shows(`fg\n[^\n]*job begins[^\n]*\n`)
}

// TestTerminalOfAnotherShell: the harness is one job of a shell, not the master of its terminal.
func TestTerminalOfAnotherShell(t *testing.T) {
	t.Parallel()
	require.NoError(t, buildProbe())
	start := func(t *testing.T, name string, args ...string) *terminal {
		screen := openTerminal(t)
		dir := tree(t, nil)
		cmd := command(t, dir, name, args...)
		screen.run(cmd)
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return screen
	}
	options := " --init --socket control "
	t.Run("gives it back", func(t *testing.T) {
		t.Parallel()
		screen := start(t, "sh", "-c", "envharness"+options+"true; echo between; read line && echo \"got $line\"")
		screen.shows(`between\n`)
		screen.types("a line\n")
		screen.shows("got a line\n")
	})
	t.Run("gives it back when it fails", func(t *testing.T) {
		t.Parallel()
		screen := start(t, "sh", "-c", "envharness"+options+"sh -c 'exit 3'; echo \"code $?\"; envharness"+options+"sh -c 'kill -KILL $$'; echo \"code $?\"; read line && echo \"got $line\"")
		screen.shows(`code 3\n`)
		screen.shows(`code 137\n`)
		screen.types("a line\n")
		screen.shows("got a line\n")
	})
	t.Run("does not take it in the background", func(t *testing.T) {
		t.Parallel()
		need(t, "bash")
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types("envharness" + options + "sh -c 'echo job runs; sleep 1000' &\n")
		screen.shows(`job runs\n`)
		screen.types("echo shell $((1+1))\n")
		screen.shows(`shell 2\n`)
		screen.types("kill %1; wait %1; echo code $?\n")
		screen.shows(`code 143\n`)
	})
	t.Run("is a job", func(t *testing.T) {
		t.Parallel()
		need(t, "bash")
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types("envharness" + options + "sh -c 'echo job begins; read line; echo \"job got $line\"; exec sleep 1000'\n")
		screen.shows(`job begins\n`)
		screen.types(suspend)
		screen.shows(`Stopped[^\n]*\n`)
		screen.types("echo shell $((1+1))\n")
		screen.shows(`shell 2\n`)
		screen.types("fg\n")
		screen.types("hello\n")
		screen.shows(`job got hello\n`)
		screen.types(interrupt)
		screen.shows(prompt)
		screen.types("echo code $?\n")
		screen.shows(`code 130\n`)
	})
	t.Run("is a job that reads in the background", func(t *testing.T) {
		t.Parallel()
		need(t, "bash")
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types("envharness" + options + "sh -c 'echo job begins; read line; echo \"job got $line\"; exit 6' &\n")
		stoppedByARead(screen, "signal")
		screen.types("hello\n")
		screen.shows(`job got hello\n`)
		screen.shows(prompt)
		screen.types("echo code $?\n")
		screen.shows(`code 6\n`)
	})
	t.Run("in a pipe", func(t *testing.T) {
		t.Parallel()
		screen := start(t, "sh", "-c", "echo through | envharness"+options+"cat | cat; read line && echo \"got $line\"")
		screen.shows(`through\n`)
		screen.types("a line\n")
		screen.shows("got a line\n")
	})
}

// TestTerminalIsHungUp: whoever closes the window ends what runs in it.
func TestTerminalIsHungUp(t *testing.T) {
	t.Parallel()
	master, slave := openPair(t)
	cmd := outside.initCommand(t, tree(t, map[string]string{"export/teardown": teardown}), "probe", "watch", "-exit", "HUP=7", "log")
	cmd.Stdin, cmd.Stdout = slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	require.NoError(t, slave.Close())
	s := &service{t: t, cmd: cmd, dir: cmd.Dir}
	s.logs("start")
	require.NoError(t, master.Close())
	s.exits(7)
	// The kernel sends CONT with it, and the two may arrive in any order.
	require.Contains(t, s.log(), "HUP")
	require.Equal(t, []string{"teardown", "withdrawn"}, s.log()[len(s.log())-2:])
}
