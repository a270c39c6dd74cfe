package main

import (
	"path"
	"slices"
	"strings"

	"github.com/envharness/envharness/cmd/envharness/internal/bare"
	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// The groups of options, each of which is explained, and shown by --help, together.
const (
	directories    = "directories"
	entries        = "entries"
	running        = "running"
	failures       = "failures"
	values         = "values"
	commandOptions = "command"
	initOptions    = "init"
	changes        = "changes"
	readiness      = "readiness"
	timelines      = "timeline"
	reporting      = "report"
)

// signalsNote says which signals the kernel and Go's runtime keep from being passed on as they come.
const signalsNote = "Forwarded is every signal but KILL, STOP, CHLD, URG, PIPE, PROF, TTIN, TTOU, 32 to 34 and faults. " +
	"What came ignored stays so in COMMAND if it is HUP, INT, TSTP, TTIN, TTOU or CONT. " +
	"What came blocked stays so unless it is HUP, INT, QUIT, TERM, ABRT, STKFLT, CHLD, URG, PROF or a fault."

// topics are the groups in the order of help.
func topics() []cli.Topic {
	return []cli.Topic{
		{Name: directories, Title: "where variables and announcements come from"},
		{Name: entries, Title: "which entry is what, names, mounts of other systems"},
		{Name: running, Title: "how many at a time, in which order, how long"},
		{Name: failures, Title: "further tries, last known values"},
		{Name: values, Title: "env-files, what is required, what empty means, who wins"},
		{Name: commandOptions, Title: "COMMAND's user, directory, files, and what runs before it"},
		{Name: initOptions, Title: "staying as PID 1: signals, stop, orphans", Note: signalsNote},
		{Name: changes, Title: "when values change while COMMAND runs"},
		{Name: readiness, Title: "when COMMAND is ready and well, and what follows"},
		{Name: timelines, Title: "what took how long"},
		{Name: reporting, Title: "log, help, version"},
	}
}

// settings are what options are bound to: the harness's options, and the words of those that need reading.
type settings struct {
	harness.Options
	stopSignals, signalMap, expectExit []string
	parentDeathSignal, onChange        string

	all []cli.Option // what table gives
}

func newSettings() *settings {
	s := &settings{Options: harness.DefaultOptions()}
	s.onChange = string(s.Init.OnChange)
	return s
}

// options picks those of some topics.
func (s *settings) options(topics ...string) (some []cli.Option) {
	for _, o := range s.table() {
		if slices.Contains(topics, o.Topic) {
			some = append(some, o)
		}
	}
	return some
}

// table is every option of the harness, one for all commands: of a start's tables only one is ever looked at.
func (s *settings) table() []cli.Option {
	if s.all == nil {
		s.all = s.makeTable()
	}
	return s.all
}

// makeTable binds every option to its field. Their defaults are the harness's own.
func (s *settings) makeTable() []cli.Option {
	init := &s.Init
	return []cli.Option{
		{Name: "environment", Argument: "DIR", Topic: directories, Usage: "make DIR's entries the variables; repeatable, a later DIR's entry replaces an earlier one's", Target: &s.Environment},
		{Name: "export", Argument: "DIR", Topic: directories, Usage: "announce the service by DIR's executables; repeatable, run in the order given", Target: &s.Export},

		{Name: "secrets", Argument: "DIR", Topic: directories, Usage: "make DIR's files variables and run none: a mount of secrets; repeatable", Target: &s.Secrets},

		{Name: "names", Argument: "POLICY", Topic: entries, Usage: "treat a name that is no variable's as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)", Target: (*string)(&s.Names), Words: policies(harness.NamesStrict, harness.NamesSkip, harness.NamesUpper)},
		{Name: "executable", Argument: "POLICY", Topic: entries, Usage: "tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all", Target: (*string)(&s.Executable), Words: policies(harness.ExecutableMode, harness.ExecutableContent)},
		{Name: "expand-files", Topic: entries, Usage: "let NAME be the content of the file that NAME_FILE names, unless NAME is set", Target: &s.ExpandFiles},

		{Name: "jobs", Argument: "N", Topic: running, Usage: "run N executables of /environment at a time; the result stays the same", Target: &s.Jobs},
		{Name: "export-last", Topic: running, Usage: "run /export after /environment, with the resolved variables", Target: &s.ExportLast},
		{Name: "timeout", Argument: "D", Topic: running, Usage: "end one try of one executable after D; 0 never does", Target: &s.Timeout},
		{Name: "deadline", Argument: "D", Topic: running, Usage: "end start-up after D", Target: &s.Deadline},

		{Name: "retries", Argument: "N", Topic: failures, Usage: "try a failed /environment executable N times more", Target: &s.Retries},
		{Name: "retry-delay", Argument: "D", Topic: failures, Usage: "wait D before the first of them, then twice as long each time", Target: &s.RetryDelay},
		{Name: "fail-fast", Topic: failures, Usage: "stop at the first failure, instead of gathering all of them", Target: &s.FailFast},
		{Name: "cache", Argument: "DIR", Topic: failures, Usage: "keep the last good values in DIR; one whose executable fails is taken from there, with a warning", Target: &s.Cache},
		{Name: "cache-max-age", Argument: "D", Topic: failures, Usage: "do not take a value that is older than D", Target: &s.CacheMaxAge},

		{Name: "env-file", Argument: "FILE", Topic: values, Usage: "read FILE first, in dotenv form; repeatable, a later FILE wins", Target: &s.EnvFiles},
		{Name: "require", Argument: "NAME,…", Topic: values, Usage: "fail when one of them is unset or empty; repeatable", Target: &s.Require},
		{Name: "empty", Argument: "POLICY", Topic: values, Usage: "keep an empty value, unset its name, or fail", Target: (*string)(&s.Empty), Words: policies(harness.EmptyKeep, harness.EmptyUnset, harness.EmptyFail)},
		{Name: "prefer-inherited", Topic: values, Usage: "let a variable that is already set win, and do not run its executable", Target: &s.PreferInherited},
		{Name: "pristine", Topic: values, Usage: "give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ", Target: &s.Pristine},
		{Name: "pass", Argument: "GLOB,…", Topic: values, Usage: "let these inherited names through --pristine; repeatable", Target: &s.Pass},

		{Name: "as-file", Argument: "GLOB,…", Topic: commandOptions, Usage: "put these variables' values into files, and let NAME_FILE name NAME's; repeatable", Target: &s.AsFile},
		{Name: "files", Argument: "DIR", Topic: commandOptions, Usage: "put those files into DIR", Target: &s.Files},
		{Name: "prepare", Argument: "PATH", Topic: commandOptions, Usage: "run PATH before COMMAND, with its variables, and fail if it fails; repeatable", Target: &s.Prepare},
		{Name: "user", Argument: "USER[:GROUP]", Topic: commandOptions, Usage: "run COMMAND as USER, by name or number", Target: &s.User},
		{Name: "chdir", Argument: "DIR", Topic: commandOptions, Usage: "run COMMAND in DIR", Target: &s.Chdir},

		{Name: "init", Topic: initOptions, Usage: "stay as COMMAND's parent: reap orphans, forward signals, withdraw before a stop", Target: &init.Enabled},
		{Name: "grace", Argument: "D", Topic: initOptions, Usage: "kill what is left D after a stop began", Target: &init.Grace},
		{Name: "stop-signal", Argument: "SIG,…", Topic: initOptions, Usage: "let these begin a stop too, beside TERM and INT; repeatable", Target: &s.stopSignals},
		{Name: "signal-map", Argument: "SIG=SIG,…", Topic: initOptions, Usage: "forward another signal, or with =0 none; repeatable", Target: &s.signalMap},
		{Name: "group", Topic: initOptions, Usage: "forward signals to COMMAND's process group", Target: &init.Group},
		{Name: "expect-exit", Argument: "CODE=CODE,…", Topic: initOptions, Usage: "exit with another code than COMMAND's; repeatable", Target: &s.expectExit},
		{Name: "parent-death-signal", Argument: "SIG", Topic: initOptions, Usage: "get this signal when the harness's parent dies", Target: &s.parentDeathSignal},
		{Name: "socket", Argument: "PATH", Topic: initOptions, Usage: "listen at PATH for status, ready, drain and resume", Target: &init.Socket},

		{Name: "refresh", Argument: "D", Topic: changes, Usage: "resolve again every D, ±10 %", Target: &init.Refresh},
		{Name: "on-change", Argument: "POLICY", Topic: changes, Usage: "do this when a value changed: restart, signal=SIG, exec=PATH (which runs with the new values), exit or none", Target: &s.onChange},
		{Name: "change-delay", Argument: "D", Topic: changes, Usage: "wait a random time up to D before it, so that a fleet does not follow at once", Target: &init.Delay},
		{Name: "write", Argument: "FILE", Topic: changes, Usage: "keep a dotenv file with the values current", Target: &init.Write},

		{Name: "ready", Argument: "notify|PATH", Topic: readiness, Usage: "take COMMAND for ready when it says so, or when PATH exits 0", Target: &init.Ready},
		{Name: "health", Argument: "PATH", Topic: readiness, Usage: "take COMMAND for well while PATH exits 0", Target: &init.Health},
		{Name: "health-interval", Argument: "D", Topic: readiness, Usage: "run that every D", Target: &init.HealthInterval},
		{Name: "health-failures", Argument: "N", Topic: readiness, Usage: "take COMMAND for unhealthy when it fails N times in a row", Target: &init.HealthFailures},
		{Name: "export-when-ready", Topic: readiness, Usage: "run /export once COMMAND is ready, with the resolved variables", Target: &init.ExportWhenReady},

		{Name: "timeline", Topic: timelines, Usage: "show start-up as bars on stderr", Target: &s.Timeline},
		{Name: "timeline-svg", Argument: "FILE", Topic: timelines, Usage: "draw start-up as a picture in FILE", Target: &s.TimelineSVG},
	}
}

// policies are the words of an option that is one of them.
func policies[P ~string](all ...P) (words []string) {
	for _, one := range all {
		words = append(words, string(one))
	}
	return words
}

// read is the options, as a whole. It refuses what cannot be meant.
func (s *settings) read(c *cli.Call, environ []string) (harness.Options, error) {
	o := s.Options
	o.Drop = variablesOf(environ)
	o.Require, o.Pass, o.AsFile = commaSeparated(o.Require), commaSeparated(o.Pass), commaSeparated(o.AsFile)
	return o, checkOptions(c, o)
}

const emptyWord = "--%s: an empty word names nothing"

// wordList is a repeatable option and its words.
type wordList struct {
	option string
	words  []string
}

func checkOptions(c *cli.Call, o harness.Options) error {
	if o.Jobs < 1 {
		return c.Misuse("--jobs cannot be less than 1")
	}
	if o.Retries < 0 {
		return c.Misuse("--retries cannot be less than 0")
	}
	for _, list := range [...]wordList{
		{"environment", o.Environment}, {"export", o.Export}, {"env-file", o.EnvFiles}, {"secrets", o.Secrets}, {"prepare", o.Prepare},
	} {
		if slices.Contains(list.words, "") {
			return c.Misuse(emptyWord, list.option)
		}
	}
	for _, one := range [...]struct{ option, word string }{
		{"user", o.User}, {"chdir", o.Chdir}, {"cache", o.Cache}, {"files", o.Files}, {"timeline-svg", o.TimelineSVG},
		{"socket", o.Init.Socket}, {"write", o.Init.Write}, {"ready", o.Init.Ready}, {"health", o.Init.Health},
	} {
		if one.word == "" && c.Said(one.option) { // --user "$APP_USER" would otherwise be root
			return c.Misuse(emptyWord, one.option)
		}
	}
	for _, list := range [...]wordList{{"pass", o.Pass}, {"as-file", o.AsFile}} {
		for _, glob := range list.words {
			if _, err := path.Match(glob, ""); err != nil {
				return c.Misuse("--%s: %q is no glob", list.option, glob)
			}
		}
	}
	return checkPaths(c, o)
}

// checkPaths refuses paths that would mean another file after --chdir, or none.
func checkPaths(c *cli.Call, o harness.Options) error {
	if !path.IsAbs(o.Files) {
		return c.Misuse("--files: %q is no absolute path, and COMMAND is to find the files wherever it runs", o.Files)
	}
	for _, file := range o.Prepare {
		if !strings.Contains(file, "/") {
			return c.Misuse("--prepare: %q is no path: write ./%s for a file here", file, file)
		}
	}
	return nil
}

// variablesOf are the names of an environment that options are read from, and all others that look so: what
// a subcommand of this or a later version takes is none of COMMAND's business.
func variablesOf(environ []string) []string {
	var names []string
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, bare.Prefix+"_") {
			names = append(names, name)
		}
	}
	return names
}
