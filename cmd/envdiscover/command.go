package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/buildinfo"
	"github.com/envharness/envharness/internal/cli"
)

// usage is the command line in one line.
const usage = "envdiscover COMMAND [OPTION...] [ARG...]"

// command is one thing that envdiscover does. Each has a file of its name.
type command struct {
	name      string
	arguments string // as the usage shows them
	least     int    // so many arguments
	most      int    // and not more; -1 for any number
	summary   string
	flags     func() []urfave.Flag
	run       func(context.Context, *call) error
}

// commands is every command, in the order of the help.
func commands() []command {
	return []command{
		getCommand(),
		putCommand(),
		rmCommand(),
		lsCommand(),
		registerCommand(),
		instancesCommand(),
		servicesCommand(),
		urlCommand(),
		watchCommand(),
		waitCommand(),
		directCommand(),
		checkCommand(),
		enginesCommand(),
		completionCommand(),
	}
}

// call is one run of a command.
type call struct {
	*program
	*urfave.Context
	command command
	words   []string // the command line, without the program's name
	log     *slog.Logger
}

func (c command) usage() string {
	return strings.TrimRight("envdiscover "+c.name+" [OPTION...] "+c.arguments, " ")
}

// run does what the words say and gives the exit code.
func (p *program) run(words []string) int {
	report := cli.Reporter{Program: "envdiscover", W: p.stderr, JSON: p.getenv("ENVDISCOVER_LOG_FORMAT") == cli.LogJSON}
	err := p.execute(words, &report)
	if err == nil {
		return 0
	}
	if !isSilent(err) {
		report.Report(explain(err))
	}
	return exitCode(err)
}

func (p *program) execute(words []string, report *cli.Reporter) error {
	words, err := p.unfoldScript(words)
	if err != nil {
		return err
	}
	at := cli.FirstWord(commonFlags(), words)
	if at == len(words) {
		return p.withoutCommand(words)
	}
	for _, command := range commands() {
		if command.name == words[at] {
			return p.call(command, slices.Delete(slices.Clone(words), at, at+1), words, report)
		}
	}
	if words[at] == "help" {
		return p.help(words[at+1:])
	}
	return &cli.UsageError{Problem: fmt.Sprintf("unknown command %q", words[at]), Usage: usage + ", see envdiscover --help"}
}

// withoutCommand answers a line of options alone.
func (p *program) withoutCommand(words []string) error {
	app := cli.New("envdiscover", usage, commonFlags(), func(c *urfave.Context) error {
		switch {
		case c.Bool("help"):
			return p.help(nil)
		case c.Bool("version"):
			_, err := fmt.Fprintf(p.stdout, "envdiscover %s\n", buildinfo.String())
			return err
		}
		return &cli.UsageError{Problem: "no COMMAND", Usage: usage + ", see envdiscover --help"}
	})
	return app.Run(append([]string{"envdiscover"}, words...))
}

// call parses the options of a command and runs it.
func (p *program) call(command command, args, words []string, report *cli.Reporter) error {
	flags := append(command.flags(), commonFlags()...)
	app := cli.New("envdiscover "+command.name, command.usage(), flags, func(c *urfave.Context) error {
		if c.Bool("help") {
			return p.help(append([]string{command.name}, c.Args().Slice()...))
		}
		if c.Bool("version") {
			return p.withoutCommand([]string{"--version"})
		}
		if err := cli.FromVariables(c, "ENVDISCOVER", p.variable); err != nil {
			return err
		}
		report.JSON = c.String("log-format") == cli.LogJSON
		log, err := cli.NewLogger(p.stderr, "envdiscover", c.String("log-level"), c.String("log-format"))
		if err != nil {
			return &cli.UsageError{Problem: err.Error(), Usage: command.usage()}
		}
		one := &call{program: p, Context: c, command: command, words: words, log: log}
		if err := one.checkArguments(); err != nil {
			return err
		}
		return command.run(context.Background(), one)
	})
	return app.Run(append([]string{"envdiscover"}, cli.OptionsFirst(flags, args)...))
}

func (c *call) checkArguments() error {
	switch n := c.NArg(); {
	case n < c.command.least:
		return c.misuse("an argument is missing")
	case c.command.most >= 0 && n > c.command.most:
		return c.misuse("%q is one argument too many", c.Args().Get(c.command.most))
	}
	for _, flag := range c.App.Flags {
		name := flag.Names()[0]
		if _, ok := flag.(*urfave.DurationFlag); ok && c.Duration(name) < 0 {
			return c.misuse("--%s cannot be negative", name)
		}
	}
	return nil
}

// misuse is a command line that is understood and makes no sense.
func (c *call) misuse(format string, args ...any) error {
	return &cli.UsageError{Problem: fmt.Sprintf(format, args...), Usage: c.command.usage()}
}
