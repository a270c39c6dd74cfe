// Package cli is what the command lines of envharness, envdiscover and envdiscoverd have in common: a table of
// options that are bound to fields, their variables, help, the log, and errors with hints.
//
// The common case:
//
//	p := cli.Program{Name: "program", Prefix: "PROGRAM", Main: cli.Command{Run: …}, Commands: …}
//	if err := p.Run(os.Args[1:]); err != nil {
//		p.Report(err)
//	}
package cli

import (
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/envharness/envharness/internal/failure"
)

// Program is a command line.
type Program struct {
	Name   string
	Prefix string // of the variables of options, as ENVHARNESS

	// Main is what the program does without a command. It does nothing without its Run, and is a page of help then.
	Main     Command
	Commands []Command // in the order of help

	// CommandFirst makes a word a command only if it is the very first. Else options may stand before it.
	CommandFirst bool

	Common      []Option          // of all commands, but for those with Alone
	Topics      []Topic           // in the order of help
	LogTopic    string            // the topic of the options that each program has: log, help, version
	LogLevel    string            // the default
	HasVariable func(string) bool // whether an option has a variable; nil: all have

	Stdout, Stderr io.Writer
	Lookup         func(variable string) (string, bool)

	level, format string
	help, version bool
	json          bool // errors are lines of JSON
}

// Command is one thing that a program does.
type Command struct {
	Name        string // empty for Main
	Arguments   string // as the usage shows them, behind [OPTION...] unless they have that
	Least, Most int    // so many arguments; -1 for any number
	Summary     string // in a few words, for the list of commands
	Listed      string // the name in that list; Name when empty, "-" for none
	About       string // what it does, in sentences; the summary when empty
	Example     string // one command line
	Notes       string // under the options
	Options     []Option
	Alone       bool // it has none of the Common options
	OptionsEnd  bool // options end at the first word that is none
	Run         func(*Call) error
}

// Call is one run of a command.
type Call struct {
	Command Command
	Args    []string // without the options
	Log     *slog.Logger

	program string
	prefix  string          // of the variables of options
	set     map[string]bool // options that were given a value; true: on the command line
}

// Given tells whether an option was given a value, on the command line or by its variable.
func (c *Call) Given(option string) bool {
	_, is := c.set[option]
	return is
}

// Said tells whether an option was given a value on the command line.
func (c *Call) Said(option string) bool { return c.set[option] }

// Misuse is a command line that is understood and makes no sense.
func (c *Call) Misuse(format string, args ...any) error {
	return Misuse(c.Command.Usage(c.program), format, args...)
}

// Misuse is a command line that cannot be meant. The usage is the right form, in one line.
func Misuse(usage, format string, args ...any) error {
	return failure.Misuse("usage: "+usage, format, args...)
}

// IsMisuse tells whether an error is that of a command line that cannot be meant.
func IsMisuse(err error) bool {
	return failure.Find(err, func(one error) bool {
		f, ok := one.(*failure.Error)
		return ok && f.Kind == failure.KindUsage
	})
}

// Usage is the right form in one line.
func (c Command) Usage(program string) string {
	options := "[OPTION...]"
	if strings.Contains(c.Arguments, options) {
		options = ""
	}
	words := []string{program, c.Name, options, c.Arguments}
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " ")
}

// Run does what the command line says. Errors are told by Report.
func (p *Program) Run(args []string) error {
	p.json = p.wantsJSON(args)
	command, args, err := p.choose(args)
	if err != nil {
		return err
	}
	return p.run(command, args)
}

// Report tells an error, in the form that the options ask for.
func (p *Program) Report(err error) {
	Reporter{Program: p.Name, W: p.Stderr, JSON: p.json}.Report(err)
}

// choose finds the command, and gives the words without its name.
func (p *Program) choose(args []string) (Command, []string, error) {
	at := 0
	if !p.CommandFirst {
		at = firstWord(p.Table(Command{}), args)
	}
	if at >= len(args) || len(p.Commands) == 0 {
		return p.Main, args, nil
	}
	if command, found := p.command(args[at]); found {
		return command, slices.Delete(slices.Clone(args), at, at+1), nil
	}
	if p.Main.Run != nil {
		return p.Main, args, nil
	}
	if args[at] == "help" {
		return p.Main, append([]string{"--help"}, args[at+1:]...), nil
	}
	return Command{}, nil, p.unknown("unknown command %q", args[at])
}

func (p *Program) command(name string) (Command, bool) {
	i := slices.IndexFunc(p.Commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return Command{}, false
	}
	return p.Commands[i], true
}

// unknown is about a word that is no command.
func (p *Program) unknown(format, word string) error {
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	return suggest(Misuse(p.Main.Usage(p.Name), format, word), Nearest(word, names))
}

// suggest adds what may have been meant to the hint.
func suggest(err error, meant string) error {
	if f, ok := err.(*failure.Error); ok && meant != "" {
		f.Next = "did you mean " + meant + "? " + f.Next
	}
	return err
}

// Table is every option of a command.
func (p *Program) Table(c Command) []Option {
	table := slices.Clone(c.Options)
	if !c.Alone {
		table = append(table, p.Common...)
	}
	return append(table, p.logOptions()...)
}

// logOptions are those of every program. They are read before the command runs.
func (p *Program) logOptions() []Option {
	if p.level == "" {
		p.level, p.format = p.LogLevel, LogText
	}
	return []Option{
		{Name: "log-level", Argument: "LEVEL", Topic: p.LogTopic, Usage: "log from this level on: debug, info, warn or error", Target: &p.level},
		{Name: "log-format", Argument: "FORMAT", Topic: p.LogTopic, Usage: "log, errors and hints as text or json", Target: &p.format},
		{Name: "help", Short: "h", Topic: p.LogTopic, Usage: "show this help", Target: &p.help},
		{Name: "version", Topic: p.LogTopic, Usage: "show version, commit and Go version", Target: &p.version},
	}
}

// variable looks up the variable of an option. What is a question and no setting has none: many an image sets
// PREFIX_VERSION to tell the version that it was built with. An empty variable is an unset one.
func (p *Program) variable(option string) string {
	if option == "help" || option == "version" || p.HasVariable != nil && !p.HasVariable(option) {
		return ""
	}
	value, _ := p.Lookup(Variable(p.Prefix, option))
	return value
}

// wantsJSON tells how an error in the options themselves is to be reported, before they are understood.
func (p *Program) wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--log-format" && i+1 < len(args) {
			return args[i+1] == LogJSON
		}
		if value, found := strings.CutPrefix(arg, "--log-format="); found {
			return value == LogJSON
		}
		if arg == "--" {
			break
		}
	}
	return p.variable("log-format") == LogJSON
}
