package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// documents are those whose console blocks are run: README.md and all of docs, but for the recipes, which need
// stores and have tests of their own.
func documents(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/migrating/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		require.NoError(t, err)
		for _, path := range found {
			paths = append(paths, strings.TrimPrefix(path, "../"))
		}
	}
	require.Greater(t, len(paths), 10)
	return paths
}

// TestReadmeExamples runs the fenced blocks that are marked console, those of each document in a directory of its
// own and in order. A line that begins with "$ " is a command, those that begin with "> " go on with it, and what
// follows is its output.
//
// In the output a line of three dots stands for any lines and three dots within a
// line for any text; times, and the bars that show them, may differ.
//
// Each command has a /run of its own, as in a container, where --init listens, and a network of its own, so that
// a port is free.
func TestReadmeExamples(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"systemd-notify", "python3", "curl", "etcdctl", "ip"} {
		needProgram(t, program)
	}
	envdiscoverd(t)
	for _, path := range documents(t) {
		examples := consoleExamples(t, path, document(t, path))
		require.True(t, path != "README.md" || len(examples) > 0)
		if len(examples) == 0 {
			continue
		}
		t.Run(strings.ReplaceAll(path, "/", "-"), func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 && strings.Contains(document(t, path), "$ envharness --user ") {
				missing(t, "root's privilege", "sudo make test")
			}
			runExamples(t, path, examples)
		})
	}
}

// startsLate is what registering says of a server that is not up after three checks, as on a busy machine.
var startsLate = regexp.MustCompile(`(?m)^envdiscover: warning: the check fails \(service web, .* connection refused\)\n`)

func runExamples(t *testing.T, path string, examples []example) {
	t.Helper()
	dir := t.TempDir()
	env := []string{"PATH=" + filepath.Dir(envharness) + ":" + os.Getenv("PATH"), "HOME=" + dir}
	shell := slices.Concat([]string{"timeout", "120"}, unshare(t, "--mount", "--net"), []string{"sh", "-c"})
	for _, e := range examples {
		script := "mount -t tmpfs tmpfs /run && ip link set lo up && cd '" + dir + "' && umask 022 && exec 2>&1\n" + e.command
		got := run(t, env, shell[0], append(shell[1:], script)...)
		got.stdout = startsLate.ReplaceAllString(got.stdout, "")
		require.Truef(t, matches(e.output, got.stdout), "%s:%d: $ %s\nprints\n%sand not\n%s", path, e.line, e.command, got.stdout, e.output)
	}
}

func TestReadmeMatching(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"", ""},
		{"a\n...\nz\n", "a\nz\n"},
		{"a\n...\nz\n", "a\nb\nc\nz\n"},
		{"in PATH (...)\n", "in PATH (/usr/bin)\n"},
		{"after 1.6ms\n", "after 2.01s\n"},
		{"  A  ██▋     5ms\n", "  A   █▏  102.2ms\n"},
		{"    │0s    │50ms\n", "    │0s  │1s   │2s\n"},
	} {
		require.True(t, matches(same[0], same[1]), "%q", same)
	}
	for _, different := range [][2]string{
		{"", "a\n"},
		{"a\n", ""},
		{"a\n...\nz\n", "a\nb\n"},
		{"a\nb\n", "a\nb\nc\n"},
		{"(...) b\n", "(a\n) b\n"},
		{"exit code 1\n", "exit code 125\n"},
		{"  A  ██▋     5ms\n", "  B  ██▋     5ms\n"},
		{"  A  ██▋     5ms\n", "  A  ██▋     5ms  failed\n"},
	} {
		require.False(t, matches(different[0], different[1]), "%q", different)
	}
}

// example is one command of a document and the output that it shows.
type example struct {
	line            int
	command, output string
}

func consoleExamples(t *testing.T, path, text string) []example {
	t.Helper()
	var examples []example
	console := false
	for i, line := range strings.Split(text, "\n") {
		last := len(examples) - 1
		switch command, begins := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case !console:
		case begins:
			examples = append(examples, example{line: i + 1, command: command})
		case strings.HasPrefix(line, "> "):
			require.Emptyf(t, examples[last].output, "%s:%d goes on with a command after its output", path, i+1)
			examples[last].command += "\n" + line[len("> "):]
		default:
			examples[last].output += line + "\n"
		}
	}
	return examples
}

var (
	times    = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`)
	bars     = regexp.MustCompile(`[ │▏▎▍▌▋▊▉█▒┄─]+`)
	timeAxis = regexp.MustCompile(`TIME( TIME)+`)
)

// matches tells whether got is what a document shows.
func matches(shown, got string) bool {
	measured := func(text string) string {
		return timeAxis.ReplaceAllString(bars.ReplaceAllString(times.ReplaceAllString(text, "TIME"), " "), "TIME")
	}
	pattern := regexp.QuoteMeta(measured(shown))
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(pattern, `(?:.*\n)*`)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `.*`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(measured(got))
}

func TestReadmeShowsDockerfileExample(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../Dockerfile.example")
	require.NoError(t, err)
	require.Equal(t, []string{withoutComments(dockerfile)}, fenced(document(t, "README.md"), "dockerfile"))
}

func TestReadmeShowsThePod(t *testing.T) {
	t.Parallel()
	pod, err := os.ReadFile("kubernetes/pod.yaml")
	require.NoError(t, err)
	require.Contains(t, fenced(document(t, "docs/init.md"), "yaml"), withoutComments(pod))
}

// withoutComments leaves out the lines that are empty or comments.
func withoutComments(text []byte) string {
	return regexp.MustCompile(`(?m)^ *(#.*)?\n`).ReplaceAllString(string(text), "")
}

// fenced finds the blocks of a kind.
func fenced(text, kind string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// TestReadmeSaysReady runs what docs/init.md says to say READY=1, in each of the
// languages, as the end of an executable that prints a value and stays.
func TestReadmeSaysReady(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"systemd-notify", "socat", "python3", "go"} {
		needProgram(t, program)
	}
	programs := map[string]func(t *testing.T, code, path string){
		"sh": func(t *testing.T, code, path string) {
			writeProgram(t, path, "#!/bin/sh\necho found\n"+code+"\nexec sleep infinity\n")
		},
		"Python": func(t *testing.T, code, path string) {
			writeProgram(t, path, "#!/usr/bin/env python3\nimport os, socket, time\nprint('found', flush=True)\n"+code+"\ntime.sleep(1e6)\n")
		},
		"Go": func(t *testing.T, code, path string) {
			source := filepath.Join(t.TempDir(), "main.go")
			writeProgram(t, source, "package main\nimport (\"fmt\"; \"net\"; \"os\"; \"time\")\nfunc main() {\nfmt.Println(\"found\")\n"+
				strings.ReplaceAll(code, "`, then `", "\nif err != nil { panic(err) }\n")+"\ntime.Sleep(1e6 * time.Second)\n}\n")
			build := exec.Command("go", "build", "-trimpath", "-o", path, source)
			build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the other binaries, so that the library is compiled already
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
		},
	}
	rows := regexp.MustCompile("(?m)^\\| (sh|Python|Go) \\| `(.*)` \\|$").FindAllStringSubmatch(section(t, "docs/init.md", "Held executables"), -1)
	require.Len(t, rows, 4)
	for _, row := range rows {
		dir := t.TempDir()
		programs[row[1]](t, strings.ReplaceAll(row[2], `\|`, "|"), filepath.Join(dir, "HELD"))
		got := run(t, []string{"HOME=" + os.Getenv("HOME")}, envharness, "--init", "--socket", filepath.Join(t.TempDir(), "socket"),
			"--environment", dir, "--export", t.TempDir(), "--", "sh", "-c", `echo "$HELD"`)
		require.Equal(t, result{stdout: "found\n"}, got, row[2])
	}
}

func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
}

// option is how a document and --help describe an option.
type option struct {
	argument, def string // empty when there is none
}

func TestReadmeTellsEveryOption(t *testing.T) {
	t.Parallel()
	tables := section(t, "docs/envharness.md", "Options") + section(t, "docs/init.md", "Options of --init")
	rows := regexp.MustCompile("(?m)^\\| `--(.*)$").FindAllString(tables, -1)
	require.NotEmpty(t, rows)

	form := regexp.MustCompile("^\\| `--([a-z-]+)(?: ([^`]+))?`(?:, `-h`)? \\| (none|`[A-Z_]+`) \\| (?:off|`([^`]+)`) \\| .+ \\|$")
	told := map[string]option{}
	for _, row := range rows {
		fields := form.FindStringSubmatch(row)
		require.NotNil(t, fields, row)
		name, variable := fields[1], strings.Trim(fields[3], "`")
		require.NotContains(t, told, name)
		told[name] = option{argument: strings.ReplaceAll(fields[2], `\|`, "|"), def: fields[4]}

		want := cli.Variable("ENVHARNESS", name)
		if name == "help" || name == "version" {
			want = "none"
		}
		require.Equal(t, want, variable, row)
	}
	require.Equal(t, helpOptions(t), told)
}

// helpOptions collects the options of every topic of every --help.
func helpOptions(t *testing.T) map[string]option {
	t.Helper()
	ask := func(args ...string) string {
		got := run(t, nil, envharness, args...)
		require.Equal(t, 0, got.exitCode, got.stderr)
		return got.stdout
	}
	_, topics, found := strings.Cut(ask("--help"), "--help TOPIC:\n")
	require.True(t, found)

	texts := []string{ask("status", "--help"), ask("print", "--help"), ask("check", "--help"), ask("diff", "--help")}
	for line := range strings.Lines(topics) {
		if topic, is := strings.CutPrefix(line, "  "); is {
			texts = append(texts, ask("--help", strings.Fields(topic)[0]))
		}
	}
	options := map[string]option{}
	for _, text := range texts {
		addHelpOptions(options, text)
	}
	require.NotEmpty(t, options)
	return options
}

// addHelpOptions reads a text of --help, in which an option stands left of what is
// said about it, with the default at the end.
func addHelpOptions(options map[string]option, text string) {
	form := regexp.MustCompile(`(?m)^  --([a-z-]+)(?:, -h)?(?: (\S+))?(?:  .*|)\n(?:  {4,}.*\n)*`)
	byDefault := regexp.MustCompile(`\(default\s+(\S+)\)\s*$`)
	for _, match := range form.FindAllStringSubmatch(text, -1) {
		o := option{argument: match[2]}
		if def := byDefault.FindStringSubmatch(match[0]); def != nil {
			o.def = def[1]
		}
		options[match[1]] = o
	}
}

// TestReadmeTellsEveryOptionOfEnvdiscoverd compares its two tables with the two texts of --help: options in the same
// order, each with its argument and its default.
func TestReadmeTellsEveryOptionOfEnvdiscoverd(t *testing.T) {
	t.Parallel()
	ask := func(args ...string) string {
		got := run(t, nil, envdiscoverd(t), args...)
		require.Equal(t, 0, got.exitCode, got.stderr)
		return got.stdout
	}
	var helped, told [][3]string
	help := ask("--help") + ask("--help", "log") + ask("--help", "docker")
	help = regexp.MustCompile(`\n {10,}`).ReplaceAllString(help, " ")
	for _, fields := range regexp.MustCompile(`(?m)^  --([a-z-]+)(?:, -h)?(?: ([A-Z]+))? .*?(?: \(default ([^)]+)\))?$`).FindAllStringSubmatch(help, -1) {
		helped = append(helped, [3]string(fields[1:]))
	}
	for _, fields := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)(?: ([A-Z]+))?` \\| (.+?) \\| .+ \\|$").FindAllStringSubmatch(document(t, "docs/envdiscoverd.md"), -1) {
		def := strings.ReplaceAll(fields[3], "`", "")
		if def == "off" {
			def = ""
		}
		told = append(told, [3]string{fields[1], fields[2], def})
	}
	require.Len(t, helped, strings.Count(help, "\n  --"))
	require.Equal(t, helped, told)
}

// TestReadmeShowsTheProposal: its two scripts word for word, which stand in examples/curl and are run by the
// registry's tests.
func TestReadmeShowsTheProposal(t *testing.T) {
	t.Parallel()
	var scripts []string
	for _, path := range []string{"curl/export/DATABASE_URL", "curl/environment/DATABASE_URL"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		scripts = append(scripts, string(text))
	}
	require.Equal(t, scripts, fenced(section(t, "README.md", "Announce and find"), "bash"))
	require.Equal(t, scripts, fenced(section(t, "docs/envdiscoverd.md", "Without configuration"), "bash"))
}

func TestReadmeTellsTheExitCodes(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(document(t, "README.md"), "| exit code | when |\n|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var codes []string
	for row := range strings.Lines(table) {
		codes = append(codes, strings.TrimSpace(strings.Split(row, "|")[1]))
	}
	require.Equal(t, []string{
		"COMMAND's own", "1",
		strconv.Itoa(harness.ExitStartup), strconv.Itoa(harness.ExitCannotExecute), strconv.Itoa(harness.ExitNotFound),
		"128+n",
	}, codes)
}

// section is a document's text below a heading, up to the next of its rank.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(document(t, path), "\n## "+heading+"\n")
	require.True(t, found, "%s has no section %q", path, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// document is the text of a page, by its path from the root of the tree.
func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	require.NoError(t, err)
	return string(text)
}
