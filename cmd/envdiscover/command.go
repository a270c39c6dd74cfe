package main

import (
	"context"

	"github.com/envharness/envharness/internal/cli"
)

// call is one run of a command.
type call struct {
	*program
	*cli.Call
}

// commands is every command, in the order of the help. Each has a file of its name, cmd_NAME.go.
func (p *program) commands() []cli.Command {
	return []cli.Command{
		p.getCommand(),
		p.putCommand(),
		p.rmCommand(),
		p.lsCommand(),
		p.envCommand(),
		p.registerCommand(),
		p.instancesCommand(),
		p.servicesCommand(),
		p.urlCommand(),
		p.watchCommand(),
		p.waitCommand(),
		p.directCommand(),
		p.lockCommand(),
		p.checkCommand(),
		p.enginesCommand(),
		p.completionCommand(),
	}
}

func (p *program) commandLine() *cli.Program {
	return &cli.Program{
		Name:   "envdiscover",
		Prefix: "ENVDISCOVER",
		Main: cli.Command{
			Arguments: "COMMAND [OPTION...] [ARG...]",
			About: "Writes and reads values, announces services and finds them, in a registry. One command " +
				"may stand in a file, which is run as envdiscover ./SCRIPT.",
			Example: "envdiscover url db --scheme postgresql",
			Notes:   "Options: envdiscover COMMAND --help. Exit: 1 failure, 2 usage, 3 nothing found.",
		},
		Commands:    p.commands(),
		Common:      []cli.Option{p.urlOption()},
		Topics:      topics(),
		LogTopic:    topicRegistry,
		LogLevel:    "warn",
		HasVariable: hasVariable,
		Stdout:      p.stdout,
		Stderr:      p.stderr,
		Lookup:      p.lookupEnv,
	}
}

// run does what the words say and gives the exit code.
func (p *program) run(words []string) int {
	line := p.commandLine()
	err := p.execute(line, words)
	if err == nil {
		return 0
	}
	if !isSilent(err) {
		line.Report(p.explain(err))
	}
	return exitCode(err)
}

func (p *program) execute(line *cli.Program, words []string) (err error) {
	if p.words, err = p.unfoldScript(words); err != nil {
		return err
	}
	return line.Run(p.words)
}

// runs makes a command's Run of what takes a call.
func (p *program) runs(run func(context.Context, *call) error) func(*cli.Call) error {
	return func(c *cli.Call) error {
		p.current = c.Command
		return run(context.Background(), &call{program: p, Call: c})
	}
}
