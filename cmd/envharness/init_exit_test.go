//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// quick runs envharness --init with args to its end.
func (in place) quick(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	cmd := in.initCommand(t, dir, args...)
	result := run(t, cmd)
	for name, target := range map[string]*string{"stdout": &result.stdout, "stderr": &result.stderr} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		*target = string(content)
	}
	return result
}

// codes are those to try in a place: half of all, so that each is tried, and in both places those with a meaning;
// -short leaves it at those.
func (in place) codes() []int {
	all := []int{0, 1, 2, 125, 126, 127, 128, 129, 130, 137, 143, 255}
	if testing.Short() {
		return all
	}
	for code := range 256 {
		if (code%2 == 0) == (in.wrap == nil) && !slices.Contains(all, code) {
			all = append(all, code)
		}
	}
	return all
}

func TestInitExitCodes(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, nil)
		for _, code := range in.codes() {
			result := in.quick(t, dir, "sh", "-c", fmt.Sprintf("exit %d", code))
			require.Equal(t, code, result.code, result.stderr)
			require.Empty(t, result.stderr)
		}
	})
}

// deadly are the signals whose default action ends a process.
func deadly() []unix.Signal {
	var all []unix.Signal
	for sig := unix.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		default:
			all = append(all, sig)
		}
	}
	return all
}

func TestInitExitCodeOfASignal(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, nil)
		for _, sig := range deadly() {
			result := in.quick(t, dir, "sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$; sleep 1000", sig))
			require.Equal(t, 128+int(sig), result.code, result.stderr)
		}
	})
}

func TestExpectExit(t *testing.T) {
	t.Run("every code", func(t *testing.T) {
		everywhere(t, func(t *testing.T, in place) {
			var all []string
			for code := range 256 {
				all = append(all, fmt.Sprintf("%d=%d", code, 255-code))
			}
			dir := tree(t, nil)
			for _, code := range in.codes() {
				result := in.quick(t, dir, "--expect-exit", strings.Join(all, ","), "sh", "-c", fmt.Sprintf("exit %d", code))
				require.Equal(t, 255-code, result.code, result.stderr)
			}
		})
	})
	t.Run("only those", func(t *testing.T) {
		t.Parallel()
		dir := tree(t, nil)
		for script, want := range map[string]int{
			"kill -TERM $$; sleep 1000": 0,
			"kill -KILL $$; sleep 1000": 137,
			"exit 143":                  0,
			"exit 0":                    0,
			"exit 1":                    1,
			"exit 3":                    4, // once, not again by the next pair
			"exit 4":                    5,
		} {
			result := outside.quick(t, dir, "--expect-exit", "143=0,3=4,4=5", "sh", "-c", script)
			require.Equal(t, want, result.code, "%s: %s", script, result.stderr)
		}
	})
	t.Run("from a start-up that failed", func(t *testing.T) {
		t.Parallel()
		// It remaps what COMMAND says, not what the harness has to say.
		dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\nexit 1\n"})
		result := outside.quick(t, dir, "--expect-exit", "125=0,127=0", "touch", "ran")
		require.Equal(t, 125, result.code)
	})
}

// TestInitStartUpFails: with --init as without, COMMAND never starts and what runs is ended.
func TestInitStartUpFails(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		for name, test := range map[string]struct {
			environment string
			command     []string
			code        int
		}{
			"no such command":       {"value\n", []string{"no-such-command"}, 127},
			"no executable":         {"value\n", []string{"./environment/A"}, 126},
			"a failed executable":   {"#!/bin/sh\nexit 3\n", []string{"touch", "ran"}, 125},
			"a killed executable":   {"#!/bin/sh\nkill -KILL $$\n", []string{"touch", "ran"}, 125},
			"a missing interpreter": {"#!/no/such/sh\n", []string{"touch", "ran"}, 125},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := tree(t, map[string]string{"environment/A": test.environment, "export/held": held})
				result := in.quick(t, dir, test.command...)
				require.Equal(t, test.code, result.code, result.stderr)
				require.Regexp(t, `(?m)^envharness: error: `, result.stderr)
				require.NoFileExists(t, filepath.Join(dir, "ran"))
				if test.code == 125 {
					require.Equal(t, []string{"held start", "held TERM", "held gone"}, lines(filepath.Join(dir, "log")))
				} else {
					require.NoFileExists(t, filepath.Join(dir, "log"), "announced for a COMMAND that cannot start")
				}
				nothingLives(t, "TEST_MARK="+dir)
			})
		}
	})
}

// inheritedDescriptors are those that a child of this test finds open, as ls lists them: a harness adds none.
func inheritedDescriptors(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "ls /proc/$$/fd; :").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// TestInitCommandIsAChild: COMMAND is not the harness, leads a group of its own, and finds what it would find
// without a harness.
func TestInitCommandIsAChild(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\necho a\n", "environment/B": "b c\n"})
		result := in.quick(t, dir, "sh", "-c", `
			read -r stat </proc/$$/stat; set -- $stat
			[ $1 = $5 ] && echo own group
			tr '\0' ' ' </proc/$PPID/cmdline | grep -q -e --init && echo child of the harness
			ls /proc/$$/fd
			echo "$A $B"; env | grep ^ENVHARNESS; pwd; cat`)
		require.Equal(t, 0, result.code, result.stderr)
		require.Equal(t, "own group\nchild of the harness\n"+inheritedDescriptors(t)+"\na b c\n"+dir+"\n", result.stdout)
		require.Empty(t, result.stderr)
	})
}
