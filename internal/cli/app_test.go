package cli_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/cli"
)

// settings are what a command line and variables came to.
type settings struct {
	dirs  []string
	wait  time.Duration
	fast  bool
	words []string
}

func parse(variables map[string]string, args ...string) (s settings, err error) {
	flags := []urfave.Flag{
		&urfave.StringSliceFlag{Name: "dir", Value: urfave.NewStringSlice("/default")},
		&urfave.DurationFlag{Name: "wait"},
		&urfave.IntFlag{Name: "jobs"},
		&urfave.BoolFlag{Name: "fast", Aliases: []string{"f"}},
		&urfave.BoolFlag{Name: "version"},
	}
	lookup := func(name string) (string, bool) { value, ok := variables[name]; return value, ok }
	mentioned := cli.Mentioned(flags, args, "PROGRAM", lookup)
	app := cli.New("program", "program [OPTION...] WORD...", mentioned, func(c *urfave.Context) error {
		if err := cli.FromVariables(c, "PROGRAM", lookup); err != nil {
			return err
		}
		s = settings{dirs: []string{"/default"}, words: c.Args().Slice()}
		cli.Read(c, "dir", &s.dirs)
		cli.Read(c, "wait", &s.wait)
		cli.Read(c, "fast", &s.fast)
		return nil
	})
	return s, app.Run(append([]string{"program"}, args...))
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
		want      string
		variables map[string]string
		args      []string
	}{
		{"unknown option --fats", nil, []string{"--fats"}},
		{"unknown option -x", nil, []string{"-x"}},
		{"an argument is missing after --dir", nil, []string{"--dir"}},
		{"invalid value for -f: it takes true or false", nil, []string{"-f=5"}},
		{"invalid value for --jobs: it takes a whole number", nil, []string{"--jobs", "1.5"}},
		{"invalid value for --wait: " + duration, nil, []string{"--wait", "5"}},
		{"invalid value for PROGRAM_WAIT: " + duration, map[string]string{"PROGRAM_WAIT": "5"}, nil},
		{"invalid value for PROGRAM_FAST: it takes true or false", map[string]string{"PROGRAM_FAST": "yes"}, nil},
	} {
		_, err := parse(test.variables, test.args...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage, test.want)
		require.Equal(t, test.want, usage.Error())
		require.Equal(t, "usage: program [OPTION...] WORD...", usage.Hint())
	}
}

func TestMentioned(t *testing.T) {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "one"}, &urfave.StringSliceFlag{Name: "two"}, &urfave.IntFlag{Name: "three"},
		&urfave.DurationFlag{Name: "four"}, &urfave.BoolFlag{Name: "five", Aliases: []string{"f"}}, &urfave.StringFlag{Name: "long-name"},
	}
	for name, test := range map[string]struct {
		words, variables, want []string
	}{
		"nothing":              {},
		"every spelling":       {words: []string{"--one", "x", "-two=a", "--three=3"}, want: []string{"one", "two", "three"}},
		"an alias":             {words: []string{"-f"}, want: []string{"five"}},
		"words are no options": {words: []string{"one", "two=2", "-", "--"}},
		"variables":            {variables: []string{"PROGRAM_LONG_NAME", "PROGRAM_FOUR", "ONE"}, want: []string{"four", "long-name"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(name string) (string, bool) {
				if slices.Contains(test.variables, name) {
					return "x", true
				}
				return "", false
			}
			var names []string
			for _, flag := range cli.Mentioned(flags, test.words, "PROGRAM", set) {
				names = append(names, flag.Names()[0])
			}
			require.Equal(t, test.want, names)
			require.Len(t, flags, 6)
		})
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
