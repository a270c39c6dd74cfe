package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// Option is one option of a command line: a line of the table that parsing, help, completion and documents are
// made of.
type Option struct {
	Name     string
	Short    string // one letter, or empty
	Argument string // as help shows it, empty for a switch
	Usage    string // what it does, in a few words
	Topic    string // the group that help shows it in, or empty

	// Words are all that the option can be, where that is a list: another word is refused. Target is a *string.
	Words []string

	// Target is the field that the option sets: *bool, *int, *string, *[]string, which makes it repeatable, or
	// *time.Duration; **int or **string where not given is something of its own. What the field holds before is the
	// default.
	Target any

	Default string // what help shows as the default where Target's value does not tell it
}

// Topic is a group of options, with a note on what is true of it as a whole.
type Topic struct{ Name, Title, Note string }

// flag is the option for urfave/cli. It has no default: what is not given is not read.
func (o Option) flag() urfave.Flag {
	var aliases []string
	if o.Short != "" {
		aliases = []string{o.Short}
	}
	switch o.Target.(type) {
	case *bool:
		return &urfave.BoolFlag{Name: o.Name, Aliases: aliases}
	case *int, **int:
		return &urfave.IntFlag{Name: o.Name, Aliases: aliases}
	case *string, **string:
		return &urfave.StringFlag{Name: o.Name, Aliases: aliases}
	case *[]string:
		return &urfave.StringSliceFlag{Name: o.Name, Aliases: aliases, KeepSpace: true}
	case *time.Duration:
		return &urfave.DurationFlag{Name: o.Name, Aliases: aliases}
	}
	panic(fmt.Sprintf("option %s cannot be read into a %T", o.Name, o.Target))
}

// read sets Target to what the option was given, and leaves it alone when it was given nothing.
func (o Option) read(c *urfave.Context) {
	if !c.IsSet(o.Name) {
		return
	}
	switch t := o.Target.(type) {
	case *bool:
		*t = c.Bool(o.Name)
	case *int:
		*t = c.Int(o.Name)
	case **int:
		value := c.Int(o.Name)
		*t = &value
	case *string:
		*t = c.String(o.Name)
	case **string:
		value := c.String(o.Name)
		*t = &value
	case *[]string:
		*t = slices.Clone(c.StringSlice(o.Name))
	case *time.Duration:
		*t = c.Duration(o.Name)
	}
}

// isSwitch tells whether the option takes no argument.
func (o Option) isSwitch() bool {
	_, is := o.Target.(*bool)
	return is
}

// IsRepeatable tells whether the option may be given several times.
func (o Option) IsRepeatable() bool {
	_, is := o.Target.(*[]string)
	return is
}

// isCalled tells whether a name without its dashes is the option's.
func (o Option) isCalled(name string) bool { return name == o.Name || name == o.Short && name != "" }

// dashed is the option as it is typed.
func (o Option) dashed() string { return "--" + o.Name }

// ByDefault is the default as one would type it, or empty where the option is off unless it is given.
func (o Option) ByDefault() string {
	if o.Default != "" {
		return o.Default
	}
	switch t := o.Target.(type) {
	case *int:
		return strconv.Itoa(*t)
	case *string:
		return *t
	case *[]string:
		return strings.Join(*t, ",")
	case *time.Duration:
		if *t != 0 {
			return shortest(*t)
		}
	}
	return ""
}

// wanted is what the option takes, for somebody who gave it something else.
func (o Option) wanted() string {
	switch o.Target.(type) {
	case *time.Duration:
		return "a duration such as 500ms, 30s or 1h30m"
	case *int, **int:
		return "a whole number"
	case *bool:
		return "true or false"
	}
	return "another one"
}

// refuses tells whether the option holds a word that it cannot be.
func (o Option) refuses() (word string, is bool) {
	held, isText := o.Target.(*string)
	if !isText || len(o.Words) == 0 || slices.Contains(o.Words, *held) {
		return "", false
	}
	return *held, true
}

// either is a list of words as one says it: a, b or c.
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// shortest is a duration without the units that are zero: 24h, not 24h0m0s.
func shortest(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// Variable is the name of an option's variable: --env-file of a program with the prefix ENVHARNESS is
// ENVHARNESS_ENV_FILE.
func Variable(prefix, option string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}
