// Package cli is what the command lines of envharness, envdiscover and envdiscoverd have in common: one way
// to read options and their variables, to show help, to log and to tell errors with hints.
//
// The common case, of which action begins with a call of FromVariables:
//
//	app := cli.New("envharness", "envharness [OPTION...] COMMAND", flags, action)
//	err := app.Run(os.Args)
package cli

import (
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// UsageError is a command line that cannot be understood.
type UsageError struct {
	Problem string
	Usage   string // the right form, in one line
}

func (e *UsageError) Error() string { return e.Problem }

// Hint shows the right form.
func (e *UsageError) Hint() string { return "usage: " + e.Usage }

// New makes an application whose options end at the first word that is none, whose repeatable options are not
// split at commas, and which leaves help, exit and printing of errors to its caller.
func New(name, usage string, flags []urfave.Flag, action func(*urfave.Context) error) *urfave.App {
	urfave.HelpFlag = nil // else urfave/cli answers --help itself, before Action sees it
	return &urfave.App{
		Name:                      name,
		UsageText:                 usage,
		Flags:                     flags,
		Action:                    action,
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Writer:                    os.Stdout,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*urfave.Context, error) {},
		OnUsageError: func(_ *urfave.Context, err error, _ bool) error {
			return &UsageError{Problem: flagProblem(err, flags), Usage: usage}
		},
	}
}

// flagProblem rewrites an error of package flag, which writes options with one dash and does not tell what
// they take.
func flagProblem(err error, flags []urfave.Flag) string {
	text := err.Error()
	if name, found := strings.CutPrefix(text, "flag provided but not defined: -"); found {
		return "unknown option " + dashed(name)
	}
	if name, found := strings.CutPrefix(text, "flag needs an argument: -"); found {
		return "an argument is missing after " + dashed(name)
	}
	for _, flag := range flags {
		for _, name := range flag.Names() {
			if strings.Contains(text, " -"+name+": ") {
				return "invalid value for " + dashed(name) + ": it takes " + wanted(flag)
			}
		}
	}
	return text
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// wanted is what a flag takes, for somebody who gave it something else.
func wanted(flag urfave.Flag) string {
	switch flag.(type) {
	case *urfave.DurationFlag:
		return "a duration such as 500ms, 30s or 1h30m"
	case *urfave.IntFlag:
		return "a whole number"
	case *urfave.BoolFlag:
		return "true or false"
	}
	return "another one"
}

// FromVariables gives every option that the command line left out the value of its variable: prefix and the
// option's name in capitals, --env-file from PREFIX_ENV_FILE. An empty variable is an unset one. The values of
// a repeatable option are separated by commas there. What is a question and no setting has none: many an image
// sets PREFIX_VERSION to tell the version that it was built with.
func FromVariables(c *urfave.Context, prefix string, lookup func(string) (string, bool)) error {
	for _, flag := range c.App.Flags {
		name := flag.Names()[0]
		value, _ := lookup(Variable(prefix, name))
		if value == "" || c.IsSet(name) || name == "help" || name == "version" {
			continue
		}
		values := []string{value}
		if _, repeatable := flag.(*urfave.StringSliceFlag); repeatable {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := c.Set(name, v); err != nil {
				return &UsageError{Problem: "invalid value for " + Variable(prefix, name) + ": it takes " + wanted(flag), Usage: c.App.UsageText}
			}
		}
	}
	return nil
}

// Variable is the name of an option's variable.
func Variable(prefix, option string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}
