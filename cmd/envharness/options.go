package main

import (
	"path"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// topic is a group of options that is explained, and shown by --help, together.
type topic string

const (
	directories    topic = "directories"
	failures       topic = "failures"
	values         topic = "values"
	commandOptions topic = "command"
	initOptions    topic = "init"
	changes        topic = "changes"
	readiness      topic = "readiness"
	reporting      topic = "report"
)

// flagsOf picks the options of some topics.
func flagsOf(all []urfave.Flag, topics []topic) []urfave.Flag {
	var flags []urfave.Flag
	for _, f := range all {
		if slices.Contains(topics, topicOf(f)) {
			flags = append(flags, f)
		}
	}
	return flags
}

// topicOf reads the topic out of a flag, where urfave/cli keeps it as the category.
func topicOf(f urfave.Flag) topic {
	return topic(f.(urfave.CategorizableFlag).GetCategory())
}

// allFlags makes every option of the harness. Their defaults are its own.
func allFlags() []urfave.Flag {
	d := harness.DefaultOptions()
	list := func(t topic, name, value, usage string, def ...string) urfave.Flag {
		f := &urfave.StringSliceFlag{Name: name, Category: string(t), Usage: "`" + value + "` " + usage}
		if def != nil {
			f.Value = urfave.NewStringSlice(def...)
		}
		return f
	}
	return []urfave.Flag{
		list(directories, "environment", "DIR", "whose entries are the variables; repeatable, a later one's entry wins", d.Environment...),
		list(directories, "export", "DIR", "whose executables announce the service; repeatable", d.Export...),
		&urfave.BoolFlag{Name: "export-last", Category: string(directories), Usage: "run /export after /environment, with what was resolved"},
		list(directories, "env-file", "FILE", "in dotenv format, read first; repeatable, a later one wins"),
		&urfave.IntFlag{Name: "jobs", Category: string(directories), Usage: "run `N` /environment executables at a time", Value: d.Jobs},

		&urfave.DurationFlag{Name: "timeout", Category: string(failures), Usage: "`D` for one try of one executable, 0 for none", Value: d.Timeout},
		&urfave.DurationFlag{Name: "deadline", Category: string(failures), Usage: "`D` for all of start-up"},
		&urfave.IntFlag{Name: "retries", Category: string(failures), Usage: "try a failed /environment executable `N` times more"},
		&urfave.DurationFlag{Name: "retry-delay", Category: string(failures), Usage: "`D` before the first of them, doubling", Value: d.RetryDelay},
		&urfave.BoolFlag{Name: "fail-fast", Category: string(failures), Usage: "stop at the first failure instead of gathering them"},
		&urfave.StringFlag{Name: "cache", Category: string(failures), Usage: "`DIR` of last known values, for executables that fail"},
		&urfave.DurationFlag{Name: "cache-max-age", Category: string(failures), Usage: "`D` after which they are too old", Value: d.CacheMaxAge},

		list(values, "require", "NAME,…", "refuse to start when one is unset or empty"),
		&urfave.StringFlag{Name: "empty", Category: string(values), Usage: "`keep|unset|fail`: what an empty value means", Value: string(d.Empty)},
		&urfave.BoolFlag{Name: "prefer-inherited", Category: string(values), Usage: "a variable that is set already wins, and its executable is not run"},
		&urfave.BoolFlag{Name: "pristine", Category: string(values), Usage: "give COMMAND what was resolved, PATH, HOME, TERM, LANG, TZ alone"},
		list(values, "pass", "GLOB,…", "names that --pristine lets through too"),

		&urfave.StringFlag{Name: "user", Category: string(commandOptions), Usage: "`U[:G]` that COMMAND runs as"},
		&urfave.StringFlag{Name: "chdir", Category: string(commandOptions), Usage: "`DIR` that COMMAND runs in"},

		&urfave.BoolFlag{Name: "init", Category: string(initOptions), Usage: "stay as PID 1: reap, forward signals, withdraw before a stop"},
		&urfave.DurationFlag{Name: "grace", Category: string(initOptions), Usage: "`D` from a stop's beginning to KILL", Value: d.Init.Grace},
		list(initOptions, "stop-signal", "SIG,…", "that begin a stop, beside TERM and INT"),
		list(initOptions, "signal-map", "SIG=SIG,…", "what COMMAND gets instead; =0 for nothing"),
		&urfave.BoolFlag{Name: "group", Category: string(initOptions), Usage: "signals go to COMMAND's process group"},
		list(initOptions, "expect-exit", "CODE=CODE,…", "exit codes that mean another one"),
		&urfave.StringFlag{Name: "parent-death-signal", Category: string(initOptions), Usage: "`SIG` that begins when the parent dies"},
		&urfave.StringFlag{Name: "socket", Category: string(initOptions), Usage: "`PATH` for status, ready, drain, resume", Value: d.Init.Socket},

		&urfave.DurationFlag{Name: "refresh", Category: string(changes), Usage: "`D` after which all is resolved again, ±10 %"},
		&urfave.StringFlag{Name: "on-change", Category: string(changes), Usage: "`restart|signal=SIG|exit|none`", Value: string(d.Init.OnChange)},
		&urfave.StringFlag{Name: "write", Category: string(changes), Usage: "dotenv `FILE` that is kept current"},

		&urfave.StringFlag{Name: "ready", Category: string(readiness), Usage: "`notify|PATH`: how COMMAND says that it is ready"},
		&urfave.StringFlag{Name: "health", Category: string(readiness), Usage: "`PATH` of a program that exits 0 while COMMAND is well"},
		&urfave.DurationFlag{Name: "health-interval", Category: string(readiness), Usage: "`D` between two of its runs", Value: d.Init.HealthInterval},
		&urfave.IntFlag{Name: "health-failures", Category: string(readiness), Usage: "`N` in a row make COMMAND unhealthy", Value: d.Init.HealthFailures},
		&urfave.BoolFlag{Name: "export-when-ready", Category: string(readiness), Usage: "run /export once COMMAND is ready"},

		&urfave.StringFlag{Name: "log-level", Category: string(reporting), Usage: "`debug|info|warn|error`", Value: "warn"},
		&urfave.StringFlag{Name: "log-format", Category: string(reporting), Usage: "`text|json`", Value: cli.LogText},
		&urfave.BoolFlag{Name: "timeline", Category: string(reporting), Usage: "show start-up as bars on stderr"},
		&urfave.StringFlag{Name: "timeline-svg", Category: string(reporting), Usage: "and as a picture in `FILE`"},
		&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Category: string(reporting), Usage: "show this, or with a word behind it that topic"},
		&urfave.BoolFlag{Name: "version", Category: string(reporting), Usage: "show version, commit and Go version"},
	}
}

// readOptions turns parsed options into the harness's, and refuses what cannot be meant.
func readOptions(c *urfave.Context) (harness.Options, error) {
	for _, name := range []string{"timeout", "deadline", "retry-delay", "cache-max-age"} {
		if c.Duration(name) < 0 {
			return harness.Options{}, usageError(c, "--%s cannot be negative", name)
		}
	}
	for name, least := range map[string]int{"jobs": 1, "retries": 0} {
		if c.IsSet(name) && c.Int(name) < least {
			return harness.Options{}, usageError(c, "--%s cannot be less than %d", name, least)
		}
	}
	empty := harness.EmptyPolicy(c.String("empty"))
	if !slices.Contains([]harness.EmptyPolicy{"", harness.EmptyKeep, harness.EmptyUnset, harness.EmptyFail}, empty) {
		return harness.Options{}, usageError(c, "--empty is keep, unset or fail, not %q", empty)
	}
	pass := commaSeparated(c.StringSlice("pass"))
	for _, glob := range pass {
		if _, err := path.Match(glob, ""); err != nil {
			return harness.Options{}, usageError(c, "--pass: %q is no glob", glob)
		}
	}
	init, err := readInitOptions(c)
	if err != nil {
		return harness.Options{}, err
	}
	return harness.Options{
		Environment: c.StringSlice("environment"),
		Export:      c.StringSlice("export"),
		ExportLast:  c.Bool("export-last"),
		EnvFiles:    c.StringSlice("env-file"),

		Timeout:    c.Duration("timeout"),
		Deadline:   c.Duration("deadline"),
		Retries:    c.Int("retries"),
		RetryDelay: c.Duration("retry-delay"),
		Jobs:       max(c.Int("jobs"), 1),
		FailFast:   c.Bool("fail-fast"),

		Require:         commaSeparated(c.StringSlice("require")),
		Empty:           empty,
		PreferInherited: c.Bool("prefer-inherited"),
		Pristine:        c.Bool("pristine"),
		Pass:            pass,

		Cache:       c.String("cache"),
		CacheMaxAge: c.Duration("cache-max-age"),

		User:  c.String("user"),
		Chdir: c.String("chdir"),

		Timeline:    c.Bool("timeline"),
		TimelineSVG: c.String("timeline-svg"),

		Init: init,
	}, nil
}

// variablesOf are the names of the variables that options are read from.
func variablesOf(flags []urfave.Flag) []string {
	names := make([]string, len(flags))
	for i, f := range flags {
		names[i] = cli.Variable(prefix, f.Names()[0])
	}
	return names
}
