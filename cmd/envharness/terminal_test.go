//go:build linux

package main_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// secretly asks somebody at the terminal with the echo off: the kernel stops it at that as long as it is not in front.
const secretly = `#!/bin/sh
trap 'echo "interrupted" >/dev/tty; trap - INT; kill -INT $$' INT
trap 'echo "ended by TERM" >/dev/tty; exit 1' TERM
stty -echo </dev/tty
echo 'asked' >/dev/tty
read -r line </dev/tty
stty echo </dev/tty
echo "$line"
`

// asking are two that ask at once when they may, and one that comes after them, A and B, and only reads: that stops
// it, too.
var asking = map[string]string{
	"environment/A": secretly,
	"environment/B": secretly,
	"environment/C": "#!/bin/sh\n# after A and B\nread -r line </dev/tty\necho \"$line\"\n",
}

// TestExecutablesAskAtTheTerminal: one that reads the terminal has it while it runs, and COMMAND and the shell
// afterwards.
func TestExecutablesAskAtTheTerminal(t *testing.T) {
	t.Parallel()
	need(t, "bash")
	for name, options := range map[string]string{
		"become": "--environment environment", "jobs": "--environment environment --jobs 2",
		"init": strings.Join(initArgs, " "), "init with jobs": strings.Join(initArgs, " ") + " --jobs 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			askAtTheTerminal(t, "envharness "+options+" ")
		})
	}
}

func askAtTheTerminal(t *testing.T, harness string) {
	start := func(t *testing.T, name string, args ...string) *terminal {
		t.Parallel()
		screen := openTerminal(t)
		cmd := command(t, tree(t, asking), name, args...)
		screen.run(cmd)
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return screen
	}
	const command = `sh -c 'echo "$A $B $C"; read line; echo "COMMAND got $line"'`
	t.Run("gets it", func(t *testing.T) {
		screen := start(t, "sh", "-c", harness+command+`; read line; echo "shell got $line"`)
		answer(screen)
		screen.shows(`same same same\n`)
		screen.types("1\n")
		screen.shows(`COMMAND got 1\n`)
		screen.types("2\n")
		screen.shows(`shell got 2\n`)
	})
	t.Run("leads the session", func(t *testing.T) {
		screen := start(t, "sh", "-c", "exec "+harness+command)
		answer(screen)
		screen.shows(`same same same\n`)
		screen.types("1\n")
		screen.shows(`COMMAND got 1\n`)
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		screen := start(t, "sh", "-c", harness+`echo COMMAND runs; echo "code $?"; read line; echo "shell got $line"`)
		screen.asks()
		screen.types(interrupt)
		screen.shows(`interrupted\n`)
		screen.shows(`code 130\n`)
		modes, err := unix.IoctlGetTermios(int(screen.slave.Fd()), unix.TCGETS)
		require.NoError(t, err)
		require.NotZero(t, modes.Lflag&unix.ECHO, "the echo that it had turned off is on")
		screen.types("2\n")
		screen.shows(`shell got 2\n`)
		require.NotContains(t, screen.screen(), "COMMAND runs")
	})
	t.Run("Ctrl-Z", func(t *testing.T) {
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types(harness + `sh -c 'echo "$A $B $C"'` + "\n")
		screen.asks()
		screen.types(suspend)
		screen.shows(`Stopped[^\n]*\n`)
		screen.types("echo shell $((1+1))\n")
		screen.shows(`shell 2\n`)
		screen.types("fg\nsame\nsame\nsame\n")
		screen.shows(`same same same\n`)
		screen.shows(prompt)
	})
	t.Run("in the background", func(t *testing.T) {
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types(harness + "--timeout 3s true &\n")
		screen.shows(`environment/[AB]: timed out after [^\n]*, stopped because it uses the terminal, which the harness does not have\n`)
		screen.types("wait %1; echo code $?\n")
		screen.shows(`code 125\n`)
	})
	t.Run("TERM while it waits for it", func(t *testing.T) {
		screen := start(t, "bash", "--norc", "--noprofile", "-i")
		screen.shows(prompt)
		screen.types(harness + "true &\n")
		eventually(t, "an executable is stopped", func() bool {
			return slices.ContainsFunc(living(t, screen.mark), func(pid int) bool { return strings.HasPrefix(statusOf(pid, "State"), "T") })
		})
		screen.types("kill %1; wait %1; echo code $?\n")
		screen.shows(`ended by TERM\n`)
		screen.shows(`code 143\n`)
	})
}

// asks waits until an executable asks: it is in front then, since it could turn the echo off.
func (s *terminal) asks() { s.shows(`asked\n`) }

// answer gives all executables the same, as each may be first.
func answer(screen *terminal) { screen.types("same\nsame\nsame\n") }
