package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/buildinfo"
	"github.com/envharness/envharness/internal/cli"
)

const (
	usage  = "envharness [OPTION...] [--] COMMAND [ARG...]"
	prefix = "ENVHARNESS" // of the variables that options are read from
)

// subcommand is one of the words that are not a COMMAND when they come first.
type subcommand struct {
	usage   string
	summary string  // in a few words, for the list of subcommands
	about   string  // what its own --help says beyond that
	options []topic // the groups of options that it takes
	flags   []urfave.Flag
	run     func(*urfave.Context, harness.Options) error
}

// run does what the command line says and gives the exit code.
func run(args []string, signals *harness.Signals) int {
	if command := bareCommand(args); len(command) > 0 {
		if log, err := cli.NewLogger(os.Stderr, "envharness", "warn", cli.LogText); err == nil {
			slog.SetDefault(log)
		}
		return finish(harness.New(harness.DefaultOptions(), signals).Run(command), cli.Reporter{Program: "envharness", W: os.Stderr})
	}
	command := startCommand(signals)
	name := "envharness"
	if len(args) > 0 && isSubcommand(args[0]) {
		command, name, args = subcommands(signals)[args[0]], name+" "+args[0], args[1:]
	}
	report := cli.Reporter{Program: "envharness", W: os.Stderr, JSON: wantsJSON(args)}
	err := command.execute(name, args, &report)
	return finish(err, report)
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

// wantsJSON tells how an error in the options themselves is to be reported, before they are understood.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--log-format" && i+1 < len(args) {
			return args[i+1] == cli.LogJSON
		}
		if value, found := strings.CutPrefix(arg, "--log-format="); found {
			return value == cli.LogJSON
		}
		if arg == "--" {
			break
		}
	}
	return os.Getenv(cli.Variable(prefix, "log-format")) == cli.LogJSON
}

// finish reports what failed and gives the exit code.
func finish(err error, report cli.Reporter) int {
	harness.Each(err, func(one error) {
		if exit := new(harness.ExitError); !errors.As(one, &exit) {
			report.Report(one)
		}
	})
	return harness.ExitCode(err)
}

// execute parses the options and runs the subcommand. It tells report how errors are to be shown.
func (s subcommand) execute(name string, args []string, report *cli.Reporter) error {
	flags := append(flagsOf(allFlags(), s.options), s.flags...)
	app := cli.New(name, s.usage, cli.Mentioned(flags, args, prefix, os.LookupEnv), func(c *urfave.Context) error {
		if c.Bool("help") {
			return help(os.Stdout, s, flags, c.Args().First())
		}
		if c.Bool("version") {
			_, err := fmt.Printf("envharness %s\n", buildinfo.String())
			return err
		}
		if err := cli.FromVariables(c, prefix, os.LookupEnv); err != nil {
			return err
		}
		level, format := "warn", cli.LogText
		cli.Read(c, "log-level", &level)
		cli.Read(c, "log-format", &format)
		report.JSON = format == cli.LogJSON
		options, err := readOptions(c)
		if err != nil {
			return err
		}
		options.Drop = variablesOf(os.Environ())
		log, err := cli.NewLogger(os.Stderr, "envharness", level, format)
		if err != nil {
			return &cli.UsageError{Problem: err.Error(), Usage: s.usage}
		}
		slog.SetDefault(log)
		return s.run(c, options)
	})
	return app.Run(append([]string{name}, args...))
}

// startCommand is envharness without a subcommand.
func startCommand(signals *harness.Signals) subcommand {
	return subcommand{
		usage:   usage,
		summary: "resolve, become COMMAND",
		options: []topic{directories, entries, running, failures, values, commandOptions, initOptions, changes, readiness, timelines, reporting},
		run: func(c *urfave.Context, options harness.Options) error {
			if c.NArg() == 0 {
				return &harness.Error{
					Problem: "no COMMAND to become",
					Next:    `name one: envharness -- my-server --port 80, or in a Dockerfile: ENTRYPOINT ["envharness","--"] and CMD ["my-server","--port","80"]`,
				}
			}
			var err error
			if options.Init, err = readInitOptions(c); err != nil {
				return err
			}
			return harness.New(options, signals).Run(c.Args().Slice())
		},
	}
}

func subcommands(signals *harness.Signals) map[string]subcommand {
	return map[string]subcommand{
		"print": printCommand(signals),
		"check": checkCommand(),
		"diff":  diffCommand(),

		"exec":    execCommand(signals),
		"install": installCommand(),
		"notify":  notifyCommand(),

		harness.RequestStatus: askCommand(signals, harness.RequestStatus, "tell its state as JSON", "Tells what the harness knows of itself and of COMMAND, as JSON."),
		harness.RequestReady:  askCommand(signals, harness.RequestReady, "exit 0 if ready and well", "Exits 0 when COMMAND is ready and well, 1 when it is not: a Kubernetes exec probe."),
		harness.RequestDrain:  askCommand(signals, harness.RequestDrain, "withdraw the service", "Withdraws the service and leaves COMMAND running."),
		harness.RequestResume: askCommand(signals, harness.RequestResume, "announce it again", "Announces the service again after a drain."),
	}
}

func isSubcommand(word string) bool {
	switch word {
	case "print", "check", "diff", "exec", "install", "notify", harness.RequestStatus, harness.RequestReady, harness.RequestDrain, harness.RequestResume:
		return true
	}
	return false
}

// usageError is a command line whose words are understood and do not fit together.
func usageError(c *urfave.Context, format string, args ...any) error {
	return &cli.UsageError{Problem: fmt.Sprintf(format, args...), Usage: c.App.UsageText}
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
