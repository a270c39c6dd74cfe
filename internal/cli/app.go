// Package cli is what the command lines of envharness, envdiscover and envdiscoverd have in common: one way
// to read options and their variables, to show help, to log and to tell errors with hints.
//
// The common case:
//
//	app := cli.New("envharness", flags, action)
//	err := cli.Run(app, os.Args, os.Environ())
package cli

import (
	"errors"
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
			return &UsageError{Problem: flagProblem(err), Usage: usage}
		},
	}
}

// flagProblem rewrites an error of package flag, which writes options with one dash.
func flagProblem(err error) string {
	text := err.Error()
	text = strings.Replace(text, "flag provided but not defined: -", "unknown option --", 1)
	text = strings.Replace(text, "flag needs an argument: -", "an argument is missing after --", 1)
	text = strings.Replace(text, "for flag -", "for --", 1)
	return strings.TrimSuffix(text, ": parse error")
}

// FromVariables gives every option that the command line left out the value of its variable: prefix and the
// option's name in capitals, --env-file from PREFIX_ENV_FILE. An empty variable is an unset one. The values of
// a repeatable option are separated by commas there.
func FromVariables(c *urfave.Context, prefix string, lookup func(string) (string, bool)) error {
	for _, flag := range c.App.Flags {
		name := flag.Names()[0]
		value, _ := lookup(Variable(prefix, name))
		if value == "" || c.IsSet(name) {
			continue
		}
		values := []string{value}
		if _, repeatable := flag.(*urfave.StringSliceFlag); repeatable {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := c.Set(name, v); err != nil {
				return &UsageError{Problem: "invalid value for " + Variable(prefix, name) + ": " + cause(err), Usage: c.App.UsageText}
			}
		}
	}
	return nil
}

// Variable is the name of an option's variable.
func Variable(prefix, option string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

func cause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
