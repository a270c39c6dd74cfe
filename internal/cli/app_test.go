package cli_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/failure"
)

// settings are what a command line and variables came to.
type settings struct {
	dirs  []string
	wait  time.Duration
	fast  bool
	words []string
}

func parse(variables map[string]string, args ...string) (s settings, err error) {
	s.dirs = []string{"/default"}
	var jobs int
	p := cli.Program{
		Name:   "program",
		Prefix: "PROGRAM",
		Main: cli.Command{
			Arguments: "WORD...",
			Most:      -1,
			Options: []cli.Option{
				{Name: "dir", Argument: "DIR", Target: &s.dirs},
				{Name: "wait", Argument: "D", Target: &s.wait},
				{Name: "jobs", Argument: "N", Target: &jobs},
				{Name: "fast", Short: "f", Target: &s.fast},
			},
			OptionsEnd: true,
			Run:        func(c *cli.Call) error { s.words = c.Args; return nil },
		},
		LogLevel: "warn",
		Stdout:   io.Discard,
		Stderr:   io.Discard,
		Lookup:   func(name string) (string, bool) { value, ok := variables[name]; return value, ok },
	}
	err = p.Run(args)
	return s, err
}

func TestOptionsAndVariables(t *testing.T) {
	for name, test := range map[string]struct {
		variables map[string]string
		args      []string
		want      settings
	}{
		"defaults":                   {nil, []string{"x"}, settings{dirs: []string{"/default"}, words: []string{"x"}}},
		"a word ends the options":    {nil, []string{"-f", "x", "--wait", "1s"}, settings{dirs: []string{"/default"}, fast: true, words: []string{"x", "--wait", "1s"}}},
		"a comma is a character":     {nil, []string{"--dir", "a,b", "--dir", "c"}, settings{dirs: []string{"a,b", "c"}}},
		"but separates in variables": {map[string]string{"PROGRAM_DIR": "a,b"}, nil, settings{dirs: []string{"a", "b"}}},
		"the command line wins":      {map[string]string{"PROGRAM_DIR": "a", "PROGRAM_WAIT": "1s"}, []string{"--dir", "b"}, settings{dirs: []string{"b"}, wait: time.Second}},
		"empty is unset":             {map[string]string{"PROGRAM_DIR": "", "PROGRAM_WAIT": ""}, nil, settings{dirs: []string{"/default"}}},
		"questions have no variable": {map[string]string{"PROGRAM_VERSION": "1.2.3", "PROGRAM_HELP": "see the wiki"}, nil, settings{dirs: []string{"/default"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.variables, test.args...)
			require.NoError(t, err)
			if len(got.words) == 0 {
				got.words = nil
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestUsageErrors(t *testing.T) {
	const duration = "it takes a duration such as 500ms, 30s or 1h30m"
	for _, test := range []struct {
		want, hint string
		variables  map[string]string
		args       []string
	}{
		{"unknown option --fats", "did you mean --fast? ", nil, []string{"--fats"}},
		{"unknown option -x", "", nil, []string{"-x"}},
		{"--wait cannot be negative", "", nil, []string{"--wait", "-1s"}},
		{"an argument is missing after --dir", "", nil, []string{"--dir"}},
		{"invalid value for -f: it takes true or false", "", nil, []string{"-f=5"}},
		{"invalid value for --jobs: it takes a whole number", "", nil, []string{"--jobs", "1.5"}},
		{"invalid value for --wait: " + duration, "", nil, []string{"--wait", "5"}},
		{"invalid value for PROGRAM_WAIT: " + duration, "", map[string]string{"PROGRAM_WAIT": "5"}, nil},
		{"invalid value for PROGRAM_FAST: it takes true or false", "", map[string]string{"PROGRAM_FAST": "yes"}, nil},
	} {
		_, err := parse(test.variables, test.args...)
		require.True(t, cli.IsMisuse(err), test.want)
		require.EqualError(t, err, test.want)
		require.Equal(t, test.hint+"usage: program [OPTION...] WORD...", failure.Hint(err))
	}
}

// Errors that were joined stand in one line, with no character in between that stands for a newline.
func TestJoinedErrorsInOneLine(t *testing.T) {
	joined := errors.Join(errors.New("one"), errors.New("two"))
	var out, log bytes.Buffer
	cli.Reporter{Program: "p", W: &out}.Report(joined)
	require.Equal(t, "p: error: one; two\n", out.String())
	logger, err := cli.NewLogger(&log, "p", "warn", "text")
	require.NoError(t, err)
	logger.Warn("no", "error", joined)
	require.Equal(t, "p: warning: no (error one; two)\n", log.String())
}
