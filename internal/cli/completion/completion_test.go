package completion

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/testservers"
)

// lines are command lines up to the cursor, with words that every shell offers for the last one, and one that none
// does.
var lines = []struct {
	line    string
	offered []string
	not     string
}{
	{"envharness pri", []string{"print"}, "check"},
	{"envharness --env", []string{"--environment", "--env-file"}, "--export"},
	{"envharness --names ", []string{"strict", "skip", "upper"}, "--names"},
	{"envharness print --fo", []string{"--format"}, "--all"},
	{"envharness print --format ", []string{"sh", "dotenv", "json", "nul", "docker", "table"}, "prometheus"},
	{"envharness status --format ", []string{"json", "prometheus"}, "table"},
	{"envharness --stop-signal QU", []string{"QUIT"}, "TERM"},
	{"envharness --user roo", []string{"root"}, "daemon"},
	{"envharness --environment dir", []string{"directory/"}, "file"},
	{"envharness --env-file fil", []string{"file"}, "directory/"},
	{"envharness check dir", []string{"directory/"}, "file"},
	{"envharness notify REA", []string{"READY=1"}, "STATUS="},

	// What follows is COMMAND's.
	{"envharness another-prog", []string{"another-program"}, "print"},
	{"envharness -- another-prog", []string{"another-program"}, "print"},
	{"envharness --init -- another-program --b", []string{"--besides"}, "--beyond"},
	{"envharness --timeout 5s another-program --b", []string{"--besides"}, "--environment"},
	{"envharness exec another-program --b", []string{"--besides"}, "--environment"},
	{"envharness exec -- another-prog", []string{"another-program"}, "--jobs"},

	{"envdiscover regis", []string{"register"}, "rm"},
	{"envdiscover get --def", []string{"--default", "--default-on-error"}, "--wait"},
	{"envdiscover get DATABASE", []string{"DATABASE_URL"}, "web"},
	{"envdiscover url we", []string{"web"}, "DATABASE_URL"},
	{"envdiscover check t", []string{"tcp"}, "http"},
	{"envdiscover completion ", []string{"bash", "zsh", "fish"}, "sh"},
	{"envdiscover watch web -- another-program --b", []string{"--besides"}, "--shard"},

	{"envdiscoverd --docker-hea", []string{"--docker-health"}, "--docker"},
	{"envdiscoverd --docker-health ", []string{"state", "ignore"}, "text"},
	{"envdiscoverd --data dir", []string{"directory/"}, "file"},
	{"envdiscoverd --log-level w", []string{"warn"}, "info"},
}

// TestShells lets the real shells complete lines with the committed scripts. Names of services and values are those
// that an envdiscover in PATH gives.
func TestShells(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Abs("../../../completions")
	require.NoError(t, err)
	for shell, complete := range map[string]func(t *testing.T, scripts string) completer{"bash": inBash, "zsh": inZsh, "fish": inFish} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				testservers.Missing(t, shell, "apt-get install "+shell)
			}
			offers := complete(t, scripts)
			for _, l := range lines {
				offered := offers(l.line)
				for _, word := range l.offered {
					require.Contains(t, offered, word, l.line)
				}
				require.NotContains(t, offered, l.not, l.line)
			}
		})
	}
}

// completer gives the words that a shell offers for the last one of a line.
type completer func(line string) []string

// world is a directory with a file, a directory and programs to complete: an envdiscover that knows a service and a
// value, and one whose option only its own completion can tell.
func world(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "directory"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	program(t, dir, "envdiscover", "case $1 in services) echo web ;; ls) echo DATABASE_URL ;; esac")
	program(t, dir, "another-program", "exit 0")
	return dir
}

func program(t *testing.T, dir, name, script string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// offers runs a shell in the world and gives the lines that it prints.
func offers(t *testing.T, dir string, words ...string) []string {
	t.Helper()
	cmd := exec.Command("timeout", append([]string{"60"}, words...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// inBash calls the function as readline does, which takes words apart at = and :, with bash-completion at hand.
func inBash(t *testing.T, scripts string) completer {
	t.Helper()
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		testservers.Missing(t, "bash-completion", "apt-get install bash-completion")
	}
	const script = `. "$1" && . "$2"
another() { COMPREPLY=($(compgen -W "--besides --beyond-all" -- "${COMP_WORDS[COMP_CWORD]}")); COMPREPLY=("${COMPREPLY[0]}"); }
complete -F another another-program
function=_$3 COMP_LINE=$4 COMP_POINT=${#4} COMP_TYPE=9 COMP_KEY=9
shift 4
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$function
for word in "${COMPREPLY[@]}"; do [[ -d $word ]] && echo "$word/" || echo "$word"; done`
	dir := world(t)
	return func(line string) []string {
		name, _, _ := strings.Cut(line, " ")
		words := strings.Split(strings.NewReplacer("=", " = ", ":", " : ").Replace(line), " ")
		return offers(t, dir, append([]string{"bash", "-c", script, "bash", library, filepath.Join(scripts, name+".bash"), name, line}, words...)...)
	}
}

// inZsh asks an interactive zsh, see testdata/capture.zsh.
func inZsh(t *testing.T, scripts string) completer {
	t.Helper()
	dir, functions := world(t), t.TempDir()
	for _, name := range []string{"envharness", "envdiscover", "envdiscoverd"} {
		require.NoError(t, os.Symlink(filepath.Join(scripts, name+".zsh"), filepath.Join(functions, "_"+name)))
	}
	const another = "#compdef another-program\n_arguments '--besides[as none other]'\n"
	require.NoError(t, os.WriteFile(filepath.Join(functions, "_another"), []byte(another), 0o644))
	capture, err := filepath.Abs("testdata/capture.zsh")
	require.NoError(t, err)
	return func(line string) []string {
		offered := offers(t, dir, "zsh", "-f", capture, functions, line)
		for i, word := range offered {
			if info, err := os.Stat(filepath.Join(dir, word)); word != "" && err == nil && info.IsDir() {
				offered[i] = word + "/"
			}
		}
		return offered
	}
}

// inFish asks fish, which prints descriptions behind the words.
func inFish(t *testing.T, scripts string) completer {
	t.Helper()
	dir := world(t)
	const script = `source $argv[1]; complete --command another-program --long-option besides; complete --do-complete $argv[2]`
	return func(line string) []string {
		name, _, _ := strings.Cut(line, " ")
		offered := offers(t, dir, "fish", "--no-config", "-c", script, filepath.Join(scripts, name+".fish"), line)
		for i := range offered {
			offered[i], _, _ = strings.Cut(offered[i], "\t")
		}
		return offered
	}
}

// TestScriptsAreShell lets shellcheck read what is written for bash.
func TestScriptsAreShell(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		testservers.Missing(t, "shellcheck", "apt-get install shellcheck")
	}
	scripts, err := filepath.Glob("../../../completions/*.bash")
	require.NoError(t, err)
	require.Len(t, scripts, 3)
	out, err := exec.Command("shellcheck", scripts...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestUnknownList: an option with a choice of words that nobody has listed here is found by the test that writes the
// scripts.
func TestUnknownList(t *testing.T) {
	var policy string
	p := &cli.Program{Name: "program", LogLevel: "warn", Main: cli.Command{
		Run:     func(*cli.Call) error { return nil },
		Options: []cli.Option{{Name: "new", Argument: "POLICY", Usage: "do so", Target: &policy}},
	}}
	_, err := Script("bash", p)
	require.ErrorContains(t, err, "--new POLICY")
	p.Main.Options = nil
	_, err = Script("tcsh", p)
	require.ErrorContains(t, err, `bash, zsh, fish, not for "tcsh"`)
}

// TestBashAlone: without bash-completion at hand COMMAND is a program, and its words are files.
func TestBashAlone(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../../completions/envharness.bash")
	require.NoError(t, err)
	for word, want := range map[string]string{"another-prog": "another-program", "another-program\x00fil": "file"} {
		const complete = `. "$1"; shift; COMP_WORDS=(envharness -- "$@") COMP_CWORD=$(($# + 1)); _envharness; echo "${COMPREPLY[@]}"`
		offered := offers(t, world(t), append([]string{"bash", "-c", complete, "bash", script}, strings.Split(word, "\x00")...)...)
		require.Equal(t, []string{want}, offered)
	}
}
