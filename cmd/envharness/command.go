package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/envharness/envharness/cmd/envharness/internal/bare"
	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// variables is at the end of the help of every command.
const variables = "Every option has a variable: --log-level is ENVHARNESS_LOG_LEVEL."

// run does what the command line says and gives the exit code.
func run(args []string, signals *harness.Signals) int {
	if command := bare.Command(args); len(command) > 0 {
		return runBare(command, signals)
	}
	line := commandLine(signals)
	return finish(line, line.Run(args))
}

// runBare runs COMMAND with the default options. Parsing none, with all that is linked for it, is a tenth of a start.
func runBare(command []string, signals *harness.Signals) int {
	line := program()
	if log, err := cli.NewLogger(os.Stderr, line.Name, line.LogLevel, cli.LogText); err == nil {
		slog.SetDefault(log)
	}
	return finish(line, meant(command[0], harness.New(harness.DefaultOptions(), signals).Run(command)))
}

// meant guesses that a COMMAND that is not there was to be a subcommand.
func meant(command string, err error) error {
	var failed *harness.Error
	if errors.As(err, &failed) && failed.Code == harness.ExitNotFound {
		if name := cli.Nearest(command, bare.Subcommands); name != "" {
			failed.Next = strings.TrimSuffix("did you mean envharness "+name+"? "+failed.Next, " ")
		}
	}
	return err
}

// finish reports what failed and gives the exit code.
func finish(line *cli.Program, err error) int {
	harness.Each(err, func(one error) {
		if exit := new(harness.ExitError); !errors.As(one, &exit) {
			line.Report(one)
		}
	})
	return harness.ExitCode(err)
}

// program is envharness without its options.
func program() *cli.Program {
	return &cli.Program{
		Name:         "envharness",
		Prefix:       bare.Prefix,
		CommandFirst: true,
		LogTopic:     reporting,
		LogLevel:     "warn",
		Stdout:       os.Stdout,
		Stderr:       os.Stderr,
		Lookup:       os.LookupEnv,
	}
}

// commandLine is envharness with its options and subcommands.
func commandLine(signals *harness.Signals) *cli.Program {
	s, line := newSettings(), program()
	line.Main, line.Commands, line.Topics = startCommand(s, signals), commands(s, signals), topics()
	return line
}

// commands are the subcommands, in the order of help.
func commands(s *settings, signals *harness.Signals) []cli.Command {
	return append([]cli.Command{
		printCommand(s, signals),
		execCommand(s, signals),
		checkCommand(s),
		diffCommand(s),
		installCommand(),
		notifyCommand(),
	}, askCommands(signals)...)
}

// begin is how a command begins that resolves: with its log as the program's, and its options.
func (s *settings) begin(c *cli.Call) (harness.Options, error) {
	slog.SetDefault(c.Log)
	return s.read(c, os.Environ())
}

// commaSeparated is a list in one word, with empty items left out.
func commaSeparated(words []string) []string {
	var list []string
	for _, word := range words {
		for item := range strings.SplitSeq(word, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}
