//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	traceInit        = "GODEBUG=inittrace=1" // makes the runtime tell which packages are initialised
	initOptionParser = "init github.com/urfave/cli/v2 "
)

// optionsRead tells whether the package that reads options was initialised.
func optionsRead(result outcome) bool { return strings.Contains(result.stderr, initOptionParser) }

// TestNothingToDo: a start without /environment, /export and options makes COMMAND what it is with options that change
// nothing, and does so before options could be read.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	need(t, "sh", "nohup")
	for _, dir := range []string{"/environment", "/export"} {
		if _, err := os.Lstat(dir); err == nil {
			if !skipsAllowed() {
				t.Fatalf("%s is there: a bare start cannot be tested", dir)
			}
			t.Skipf("%s is there", dir)
		}
	}
	dir := tree(t, map[string]string{
		"look":        "#!/bin/sh\necho \"$0 $*\"; pwd; env | grep -v ^_=; exec grep -E '^(Sig(Blk|Ign|Cgt)|Umask|Max [^p])' /proc/self/status /proc/self/limits\n",
		"broken":      "#!/no/such/interpreter\n",
		"directory/x": "",
		"data":        "data\n",
	})
	for name, words := range map[string][]string{
		"in PATH":      {"look", "1", "2 3"},
		"by a path":    {"./look"},
		"descriptors":  {"ls", "/proc/self/fd"},
		"ends":         {"sh", "-c", "exit 7"},
		"ends by TERM": {"sh", "-c", "kill $$"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func(options ...string) outcome {
				args := append([]string{"-c", `ulimit -S -n 321; umask 027; trap "" HUP; exec "$0" "$@"`, harnessPath}, append(options, words...)...)
				cmd := command(t, dir, "sh", args...)
				cmd.Env = append(plainEnviron(), "PATH="+dir+":"+os.Getenv("PATH"), traceInit)
				return run(t, cmd)
			}
			direct, behindDashes, usual := start(), start("--"), start("--environment", "none", "--export", "none")
			require.False(t, optionsRead(direct), direct.stderr)
			require.False(t, optionsRead(behindDashes), direct.stderr)
			require.True(t, optionsRead(usual), usual.stderr)
			for _, result := range []outcome{direct, behindDashes} {
				require.Equal(t, usual.stdout, result.stdout)
				require.Equal(t, []any{usual.code, usual.signal}, []any{result.code, result.signal})
			}
		})
	}
	for name, words := range map[string][]string{
		"not found":        {"no-such-command"},
		"empty":            {""},
		"a directory":      {"./directory"},
		"not executable":   {"./data"},
		"no interpreter":   {"./broken"},
		"a subcommand":     {"ready", "--socket", "/no/such/socket"},
		"a misspelt one":   {"prind"},
		"a relative PATH":  {"env", "PATH=directory", "envharness", "look"},
		"nothing at all":   {},
		"the stage's name": {"sh", "-c", `exec -a envharness-command "$0"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := harness(t, dir, words...)
			cmd.Env = plainEnviron()
			bare := run(t, cmd)
			usual := run(t, harness(t, dir, append([]string{"--environment", "none"}, words...)...))
			if name != "a subcommand" {
				require.Equal(t, []any{usual.code, usual.stderr}, []any{bare.code, bare.stderr})
			}
			require.NotZero(t, bare.code)
		})
	}
	t.Run("a variable of an option", func(t *testing.T) {
		t.Parallel()
		cmd := harness(t, dir, "sh", "-c", "env")
		cmd.Env = append(plainEnviron(), "ENVHARNESS_REQUIRE=NO_SUCH_NAME")
		result := run(t, cmd)
		require.Equal(t, 125, result.code)
		require.Contains(t, result.stderr, "NO_SUCH_NAME")
	})
}

// TestSomethingToDo: a name in the root directory is enough, whatever it is.
func TestSomethingToDo(t *testing.T) {
	t.Parallel()
	need(t, "root")
	for name, c := range map[string]struct {
		files map[string]string
		link  string // /environment/A leads there
		code  int
		usual bool // the harness could have read options
	}{
		"nothing":          {code: 0},
		"a value":          {files: map[string]string{"environment/A": "a\n"}, code: 0, usual: true},
		"no value yet":     {files: map[string]string{"environment/.keep": ""}, code: 0, usual: true},
		"an empty /export": {files: map[string]string{"export/.keep": ""}, code: 0, usual: true},
		"a dangling link":  {files: map[string]string{"environment/.keep": ""}, link: "/no/such/file", code: 125},
		"a file":           {files: map[string]string{"environment": "a\n"}, code: 125},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, c.files)
			require.NoError(t, os.Link(harnessPath, filepath.Join(root, "envharness")))
			if c.link != "" {
				require.NoError(t, os.Symlink(c.link, filepath.Join(root, "environment", "A")))
			}
			cmd := command(t, "/", "/envharness", "/envharness", "--version")
			cmd.Env = []string{traceInit}
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
			result := run(t, cmd)
			require.Equal(t, c.code, result.code, result.stderr)
			if c.code == 0 {
				times := 1 // of COMMAND, which is this very binary
				if c.usual {
					times = 2
				}
				require.Equal(t, times, strings.Count(result.stderr, initOptionParser), result.stderr)
			}
		})
	}
}
