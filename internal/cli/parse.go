package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/buildinfo"
	"github.com/envharness/envharness/internal/failure"
)

// run parses the options of a command and runs it.
func (p *Program) run(c Command, args []string) error {
	table := p.Table(c)
	if !c.OptionsEnd {
		args = optionsFirst(table, args)
	}
	given := mentioned(table, args, p.variable)
	call := &Call{Command: c, program: p.Name, prefix: p.Prefix, set: map[string]bool{}}
	app := p.app(c, table, given, func(parsed *urfave.Context) error {
		call.Args = parsed.Args().Slice()
		for _, o := range given {
			if parsed.IsSet(o.Name) {
				call.set[o.Name] = true
			} else if err := p.fromVariable(c, parsed, o); err != nil {
				return err
			} else if parsed.IsSet(o.Name) {
				call.set[o.Name] = false
			}
			o.read(parsed)
		}
		return p.finish(call, table)
	})
	return app.Run(append([]string{p.Name}, args...))
}

// finish does what the options of every program ask for, or runs the command.
func (p *Program) finish(call *Call, table []Option) error {
	switch {
	case p.help:
		return p.answerHelp(call.Command, call.Args)
	case p.version:
		_, err := fmt.Fprintf(p.Stdout, "%s %s\n", p.Name, buildinfo.String())
		return err
	}
	p.json = p.format == LogJSON
	if err := call.check(table, p.Name); err != nil {
		return err
	}
	log, err := NewLogger(p.Stderr, p.Name, p.level, p.format)
	if err != nil {
		return call.Misuse("%v", err)
	}
	call.Log = log
	return call.Command.Run(call)
}

// check refuses what no command can mean.
func (c *Call) check(table []Option, program string) error {
	switch n := len(c.Args); {
	case c.Command.Run == nil:
		return Misuse(c.Command.Usage(program)+", see "+program+" --help", "no COMMAND")
	case n < c.Command.Least:
		return c.Misuse("an argument is missing")
	case c.Command.Most == 0 && n > 0:
		return c.Misuse("unexpected argument %q", c.Args[0])
	case c.Command.Most > 0 && n > c.Command.Most:
		return c.Misuse("%q is one argument too many", c.Args[c.Command.Most])
	}
	for _, o := range table {
		if d, is := o.Target.(*time.Duration); is && *d < 0 {
			return c.Misuse("%s cannot be negative", o.dashed())
		}
		if word, is := o.refuses(); is {
			return c.notAmong(o, word)
		}
	}
	return nil
}

// notAmong is about a word that is none of those that an option can be.
func (c *Call) notAmong(o Option, word string) error {
	err := failure.Misuse("it is "+either(o.Words)+"; usage: "+c.Command.Usage(c.program), "invalid value for %s: %q", c.given(o), word)
	return suggest(err, Nearest(word, o.Words))
}

// given is what has set an option, for people: itself, or its variable.
func (c *Call) given(o Option) string {
	if c.Said(o.Name) {
		return o.dashed()
	}
	return Variable(c.prefix, o.Name)
}

// app makes what parses. It leaves help, exit and printing of errors to its caller, and does not split repeatable
// options at commas.
func (p *Program) app(c Command, table, given []Option, action func(*urfave.Context) error) *urfave.App {
	urfave.HelpFlag = nil // else urfave/cli answers --help itself, before the action sees it
	// Each flag is rendered for a help page that is nobody's, at every start, unless this is cheap.
	urfave.FlagStringer = func(urfave.Flag) string { return "" }
	flags := make([]urfave.Flag, len(given))
	for i, o := range given {
		flags[i] = o.flag()
	}
	return &urfave.App{
		Name:                      p.Name,
		Flags:                     flags,
		Action:                    action,
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Compiled:                  time.Unix(0, 0), // else it is asked of the file, and nobody wants to know
		Writer:                    p.Stdout,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*urfave.Context, error) {},
		OnUsageError: func(_ *urfave.Context, err error, _ bool) error {
			problem, meant := optionProblem(err, table)
			return suggest(Misuse(c.Usage(p.Name), "%s", problem), meant)
		},
	}
}

// fromVariable gives an option that the command line left out the value of its variable. The values of a
// repeatable one are separated by commas there.
func (p *Program) fromVariable(c Command, parsed *urfave.Context, o Option) error {
	value := p.variable(o.Name)
	if value == "" {
		return nil
	}
	values := []string{value}
	if o.IsRepeatable() {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		if err := parsed.Set(o.Name, v); err != nil {
			return Misuse(c.Usage(p.Name), "invalid value for %s: it takes %s", Variable(p.Prefix, o.Name), o.wanted())
		}
	}
	return nil
}

// optionProblem rewrites an error of package flag, which writes options with one dash and does not tell what they
// take, and finds the option that may have been meant.
func optionProblem(err error, table []Option) (problem, meant string) {
	text := err.Error()
	if name, found := strings.CutPrefix(text, "flag provided but not defined: -"); found {
		var names []string
		for _, o := range table {
			names = append(names, o.dashed())
		}
		return "unknown option " + dashed(name), Nearest(dashed(name), names)
	}
	if name, found := strings.CutPrefix(text, "flag needs an argument: -"); found {
		return "an argument is missing after " + dashed(name), ""
	}
	for _, o := range table {
		for _, name := range []string{o.Name, o.Short} {
			if name != "" && strings.Contains(text, " -"+name+": ") {
				return "invalid value for " + dashed(name) + ": it takes " + o.wanted(), ""
			}
		}
	}
	return text, ""
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
