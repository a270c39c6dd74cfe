package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

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
	// Each flag is rendered for a help page that is nobody's, at every start, unless this is cheap.
	urfave.FlagStringer = func(flag urfave.Flag) string {
		name, _ := names(flag)
		return name
	}
	return &urfave.App{
		Name:                      name,
		UsageText:                 usage,
		Flags:                     flags,
		Action:                    action,
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Compiled:                  time.Unix(0, 0), // else it is asked of the file, and nobody wants to know
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

// Mentioned picks the flags that words or a variable name: urfave/cli does so much for each flag that a program
// with many is started noticeably sooner without the others. Words that are no options do no harm. Whoever
// reads an option that may be left out has a default of their own, see Read.
func Mentioned(flags []urfave.Flag, words []string, prefix string, lookup func(string) (string, bool)) []urfave.Flag {
	said := map[string]bool{}
	for _, word := range words {
		if name := strings.TrimLeft(word, "-"); name != word {
			name, _, _ = strings.Cut(name, "=")
			said[name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(flags), func(flag urfave.Flag) bool {
		name, aliases := names(flag)
		if said[name] || slices.ContainsFunc(aliases, func(alias string) bool { return said[alias] }) {
			return false
		}
		value, _ := lookup(Variable(prefix, name))
		return value == ""
	})
}

// names are a flag's names as they stand in it. Its method Names finds them by regular expressions.
func names(flag urfave.Flag) (name string, aliases []string) {
	switch f := flag.(type) {
	case *urfave.BoolFlag:
		return f.Name, f.Aliases
	case *urfave.DurationFlag:
		return f.Name, f.Aliases
	case *urfave.IntFlag:
		return f.Name, f.Aliases
	case *urfave.StringFlag:
		return f.Name, f.Aliases
	case *urfave.StringSliceFlag:
		return f.Name, f.Aliases
	}
	all := flag.Names()
	return all[0], all[1:]
}

// Read sets what target points to, a *bool, *int, *string, *[]string or *time.Duration, to the value that an
// option was given, and leaves it alone when it was given none.
func Read(c *urfave.Context, name string, target any) {
	if !c.IsSet(name) {
		return
	}
	switch t := target.(type) {
	case *bool:
		*t = c.Bool(name)
	case *int:
		*t = c.Int(name)
	case *string:
		*t = c.String(name)
	case *[]string:
		*t = c.StringSlice(name)
	case *time.Duration:
		*t = c.Duration(name)
	default:
		panic(fmt.Sprintf("option %s cannot be read into a %T", name, target))
	}
}
