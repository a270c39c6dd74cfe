package main

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// prefix is that of the variables that options are read from.
const prefix = "ENVHARNESS"

// variables is at the end of the help of every command.
const variables = "Every option has a variable: --log-level is ENVHARNESS_LOG_LEVEL."

// run does what the command line says and gives the exit code.
func run(args []string, signals *harness.Signals) int {
	line := commandLine(signals)
	if command := bareCommand(args); len(command) > 0 {
		if log, err := cli.NewLogger(os.Stderr, line.Name, line.LogLevel, cli.LogText); err == nil {
			slog.SetDefault(log)
		}
		return finish(line, meant(command[0], harness.New(harness.DefaultOptions(), signals).Run(command)))
	}
	line.Commands = commands(newSettings(), signals)
	return finish(line, line.Run(args))
}

// bareCommand is COMMAND when the command line is nothing else and no variable sets an option: most
// containers start so, and parsing options with all that is linked for it is a tenth of such a start.
func bareCommand(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	} else if len(args) > 0 && (strings.HasPrefix(args[0], "-") || isSubcommand(args[0])) {
		return nil
	}
	if slices.ContainsFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, prefix+"_") }) {
		return nil
	}
	return args
}

// isSubcommand tells whether a word is no COMMAND when it comes first.
func isSubcommand(word string) bool { return slices.Contains(subcommandNames(), word) }

func subcommandNames() []string {
	return []string{
		"print", "exec", "check", "diff", "install", "notify",
		harness.RequestStatus, harness.RequestReady, harness.RequestDrain, harness.RequestResume,
	}
}

// meant guesses that a COMMAND that is not there was to be a subcommand.
func meant(command string, err error) error {
	var failed *harness.Error
	if errors.As(err, &failed) && failed.Code == harness.ExitNotFound {
		if name := cli.Nearest(command, subcommandNames()); name != "" {
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

// commandLine is envharness without its subcommands.
func commandLine(signals *harness.Signals) *cli.Program {
	return &cli.Program{
		Name:         "envharness",
		Prefix:       prefix,
		Main:         startCommand(newSettings(), signals),
		CommandFirst: true,
		Topics:       topics(),
		LogTopic:     reporting,
		LogLevel:     "warn",
		Stdout:       os.Stdout,
		Stderr:       os.Stderr,
		Lookup:       os.LookupEnv,
	}
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
