package main

import (
	"path"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// topic is a group of options that is explained, and shown by --help, together.
type topic string

const (
	directories    topic = "directories"
	entries        topic = "entries"
	running        topic = "running"
	failures       topic = "failures"
	values         topic = "values"
	commandOptions topic = "command"
	initOptions    topic = "init"
	changes        topic = "changes"
	readiness      topic = "readiness"
	timelines      topic = "timeline"
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

// allFlags makes every option of the harness. Their defaults are its own. What a usage has between backquotes
// is the option's argument, see argumentOf.
func allFlags() []urfave.Flag {
	d := harness.DefaultOptions()
	list := func(t topic, name, usage string, def ...string) urfave.Flag {
		f := &urfave.StringSliceFlag{Name: name, Category: string(t), Usage: usage}
		if def != nil {
			f.Value = urfave.NewStringSlice(def...)
		}
		return f
	}
	return []urfave.Flag{
		list(directories, "environment", "`DIR`: its entries are the variables; repeatable, a later DIR's entry replaces an earlier one's", d.Environment...),
		list(directories, "export", "`DIR`: its executables announce the service; repeatable, run in the order given", d.Export...),

		list(directories, "secrets", "`DIR`: a mount of secrets: its files are variables, and nothing there runs; repeatable"),

		&urfave.StringFlag{Name: "names", Category: string(entries), Usage: "`POLICY`: for a name that is no variable's: strict (an error), skip, or upper (tls.crt is TLS_CRT)", Value: string(d.Names)},
		&urfave.StringFlag{Name: "executable", Category: string(entries), Usage: "`POLICY`: tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all", Value: string(d.Executable)},
		&urfave.BoolFlag{Name: "expand-files", Category: string(entries), Usage: "let NAME be the content of the file that NAME_FILE names, unless NAME is set"},

		&urfave.IntFlag{Name: "jobs", Category: string(running), Usage: "`N`: run N executables of /environment at a time; the result stays the same", Value: d.Jobs},
		&urfave.BoolFlag{Name: "export-last", Category: string(running), Usage: "run /export after /environment, with the resolved variables"},
		&urfave.DurationFlag{Name: "timeout", Category: string(running), Usage: "`D`: end one try of one executable after D; 0 never does", Value: d.Timeout},
		&urfave.DurationFlag{Name: "deadline", Category: string(running), Usage: "`D`: end start-up after D"},

		&urfave.IntFlag{Name: "retries", Category: string(failures), Usage: "`N`: try a failed /environment executable N times more"},
		&urfave.DurationFlag{Name: "retry-delay", Category: string(failures), Usage: "`D`: wait D before the first of them, then twice as long each time", Value: d.RetryDelay},
		&urfave.BoolFlag{Name: "fail-fast", Category: string(failures), Usage: "stop at the first failure, instead of gathering all of them"},
		&urfave.StringFlag{Name: "cache", Category: string(failures), Usage: "`DIR`: keep the last good values in DIR; one whose executable fails is taken from there, with a warning"},
		&urfave.DurationFlag{Name: "cache-max-age", Category: string(failures), Usage: "`D`: do not take a value that is older than D", Value: d.CacheMaxAge},

		list(values, "env-file", "`FILE`: a dotenv file, read first; repeatable, a later FILE wins"),
		list(values, "require", "`NAME,…`: fail when one of them is unset or empty; repeatable"),
		&urfave.StringFlag{Name: "empty", Category: string(values), Usage: "`POLICY`: keep an empty value, unset its name, or fail", Value: string(d.Empty)},
		&urfave.BoolFlag{Name: "prefer-inherited", Category: string(values), Usage: "let a variable that is already set win, and do not run its executable"},
		&urfave.BoolFlag{Name: "pristine", Category: string(values), Usage: "give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ"},
		list(values, "pass", "`GLOB,…`: let these inherited names through --pristine; repeatable"),

		list(commandOptions, "as-file", "`GLOB,…`: put these variables' values into files, and let NAME_FILE name NAME's; repeatable"),
		&urfave.StringFlag{Name: "files", Category: string(commandOptions), Usage: "`DIR`: put those files there", Value: d.Files},
		list(commandOptions, "prepare", "`PATH`: run PATH before COMMAND, with its variables, and fail if it fails; repeatable"),
		&urfave.StringFlag{Name: "user", Category: string(commandOptions), Usage: "`USER[:GROUP]`: run COMMAND as USER, by name or number"},
		&urfave.StringFlag{Name: "chdir", Category: string(commandOptions), Usage: "`DIR`: run COMMAND in DIR"},

		&urfave.BoolFlag{Name: "init", Category: string(initOptions), Usage: "stay as COMMAND's parent: reap orphans, forward signals, withdraw before a stop"},
		&urfave.DurationFlag{Name: "grace", Category: string(initOptions), Usage: "`D`: kill what is left D after a stop began", Value: d.Init.Grace},
		list(initOptions, "stop-signal", "`SIG,…`: let these begin a stop too, beside TERM and INT; repeatable"),
		list(initOptions, "signal-map", "`SIG=SIG,…`: forward another signal, or with =0 none; repeatable"),
		&urfave.BoolFlag{Name: "group", Category: string(initOptions), Usage: "forward signals to COMMAND's process group"},
		list(initOptions, "expect-exit", "`CODE=CODE,…`: exit with another code than COMMAND's; repeatable"),
		&urfave.StringFlag{Name: "parent-death-signal", Category: string(initOptions), Usage: "`SIG`: get this signal when the harness's parent dies"},
		&urfave.StringFlag{Name: "socket", Category: string(initOptions), Usage: "`PATH`: listen there for status, ready, drain and resume", Value: d.Init.Socket},

		&urfave.DurationFlag{Name: "refresh", Category: string(changes), Usage: "`D`: resolve again every D, ±10 %"},
		&urfave.StringFlag{Name: "on-change", Category: string(changes), Usage: "`POLICY`: for a changed value: restart, signal=SIG, exec=PATH (which runs with the new values), exit or none", Value: string(d.Init.OnChange)},
		&urfave.DurationFlag{Name: "change-delay", Category: string(changes), Usage: "`D`: wait a random time up to D before it, so that a fleet does not follow at once"},
		&urfave.StringFlag{Name: "write", Category: string(changes), Usage: "`FILE`: keep a dotenv file with the values current"},

		&urfave.StringFlag{Name: "ready", Category: string(readiness), Usage: "`notify|PATH`: COMMAND is ready when it says so, or when PATH exits 0"},
		&urfave.StringFlag{Name: "health", Category: string(readiness), Usage: "`PATH`: COMMAND is well while PATH exits 0"},
		&urfave.DurationFlag{Name: "health-interval", Category: string(readiness), Usage: "`D`: run it every D", Value: d.Init.HealthInterval},
		&urfave.IntFlag{Name: "health-failures", Category: string(readiness), Usage: "`N`: COMMAND is unhealthy when it fails N times in a row", Value: d.Init.HealthFailures},
		&urfave.BoolFlag{Name: "export-when-ready", Category: string(readiness), Usage: "run /export once COMMAND is ready, with the resolved variables"},

		&urfave.BoolFlag{Name: "timeline", Category: string(timelines), Usage: "show start-up as bars on stderr"},
		&urfave.StringFlag{Name: "timeline-svg", Category: string(timelines), Usage: "`FILE`: draw start-up as a picture in FILE"},

		&urfave.StringFlag{Name: "log-level", Category: string(reporting), Usage: "`LEVEL`: log from this level on: debug, info, warn or error", Value: "warn"},
		&urfave.StringFlag{Name: "log-format", Category: string(reporting), Usage: "`FORMAT`: log, errors and hints as text or json", Value: cli.LogText},
		&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Category: string(reporting), Usage: "show this; --help TOPIC shows one topic's options"},
		&urfave.BoolFlag{Name: "version", Category: string(reporting), Usage: "show version, commit and Go version"},
	}
}

// readOptions turns parsed options into the harness's, and refuses what cannot be meant.
func readOptions(c *urfave.Context) (harness.Options, error) {
	o := harness.DefaultOptions()
	for name, target := range map[string]any{
		"environment": &o.Environment,
		"export":      &o.Export,
		"export-last": &o.ExportLast,
		"env-file":    &o.EnvFiles,
		"secrets":     &o.Secrets,

		"names":        (*string)(&o.Names),
		"executable":   (*string)(&o.Executable),
		"expand-files": &o.ExpandFiles,
		"as-file":      &o.AsFile,
		"files":        &o.Files,
		"prepare":      &o.Prepare,

		"timeout":     &o.Timeout,
		"deadline":    &o.Deadline,
		"retries":     &o.Retries,
		"retry-delay": &o.RetryDelay,
		"jobs":        &o.Jobs,
		"fail-fast":   &o.FailFast,

		"require":          &o.Require,
		"empty":            (*string)(&o.Empty),
		"prefer-inherited": &o.PreferInherited,
		"pristine":         &o.Pristine,
		"pass":             &o.Pass,

		"cache":         &o.Cache,
		"cache-max-age": &o.CacheMaxAge,

		"user":  &o.User,
		"chdir": &o.Chdir,

		"timeline":     &o.Timeline,
		"timeline-svg": &o.TimelineSVG,
	} {
		cli.Read(c, name, target)
	}
	o.Require, o.Pass, o.AsFile = commaSeparated(o.Require), commaSeparated(o.Pass), commaSeparated(o.AsFile)
	return o, checkOptions(c, o)
}

func checkOptions(c *urfave.Context, o harness.Options) error {
	for _, name := range []string{"timeout", "deadline", "retry-delay", "cache-max-age"} {
		if c.Duration(name) < 0 {
			return usageError(c, "--%s cannot be negative", name)
		}
	}
	if o.Jobs < 1 {
		return usageError(c, "--jobs cannot be less than 1")
	}
	if o.Retries < 0 {
		return usageError(c, "--retries cannot be less than 0")
	}
	for _, name := range []string{"environment", "export", "env-file", "secrets", "prepare"} {
		if slices.Contains(c.StringSlice(name), "") {
			return usageError(c, "--%s: an empty word names nothing", name)
		}
	}
	if !slices.Contains([]harness.EmptyPolicy{"", harness.EmptyKeep, harness.EmptyUnset, harness.EmptyFail}, o.Empty) {
		return usageError(c, "--empty is keep, unset or fail, not %q", o.Empty)
	}
	if !slices.Contains([]harness.NamePolicy{harness.NamesStrict, harness.NamesSkip, harness.NamesUpper}, o.Names) {
		return usageError(c, "--names is strict, skip or upper, not %q", o.Names)
	}
	if !slices.Contains([]harness.ExecutablePolicy{harness.ExecutableMode, harness.ExecutableContent}, o.Executable) {
		return usageError(c, "--executable is mode or content, not %q", o.Executable)
	}
	for option, globs := range map[string][]string{"pass": o.Pass, "as-file": o.AsFile} {
		for _, glob := range globs {
			if _, err := path.Match(glob, ""); err != nil {
				return usageError(c, "--%s: %q is no glob", option, glob)
			}
		}
	}
	return checkPaths(c, o)
}

// checkPaths refuses paths that would mean another file after --chdir, or none.
func checkPaths(c *urfave.Context, o harness.Options) error {
	if !path.IsAbs(o.Files) {
		return usageError(c, "--files: %q is no absolute path, and COMMAND is to find the files wherever it runs", o.Files)
	}
	for _, file := range o.Prepare {
		if !strings.Contains(file, "/") {
			return usageError(c, "--prepare: %q is no path: write ./%s for a file here", file, file)
		}
	}
	return nil
}

// variablesOf are the names of an environment that options are read from, and all others that look so: what
// a subcommand of this or a later version takes is none of COMMAND's business.
func variablesOf(environ []string) []string {
	var names []string
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix+"_") {
			names = append(names, name)
		}
	}
	return names
}
