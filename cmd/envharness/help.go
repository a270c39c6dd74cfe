package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// topicTitles are the topics of --help in the order they are listed.
var topicTitles = []struct {
	topic topic
	title string
}{
	{printing, "what print shows"},
	{directories, "where variables and announcements come from"},
	{entries, "which entry is what, names, mounts of other systems"},
	{running, "how many at a time, in which order, how long"},
	{failures, "further tries, last known values"},
	{values, "env-files, what is required, what empty means, who wins"},
	{commandOptions, "COMMAND's user, directory, files, and what runs before it"},
	{initOptions, "staying as PID 1: signals, stop, orphans"},
	{changes, "when values change while COMMAND runs"},
	{readiness, "when COMMAND is ready and well, and what follows"},
	{asking, "where the harness is reached"},
	{timelines, "what took how long"},
	{reporting, "log, help, version"},
}

// notes are what is true of a topic as a whole: here which signals the kernel and Go's runtime keep from being passed
// on as they come.
var notes = map[topic]string{
	initOptions: "Forwarded is every signal but KILL, STOP, CHLD, URG, PIPE, PROF, TTIN, TTOU, 32 to 34 and faults. " +
		"What came ignored stays so in COMMAND if it is HUP, INT, TSTP, TTIN, TTOU or CONT. " +
		"What came blocked stays so unless it is HUP, INT, QUIT, TERM, ABRT, STKFLT, CHLD, URG, PROF or a fault.",
}

const (
	screenWidth = 80
	onOneScreen = 10 // options are shown at once; of more --help lists the topics
)

// help prints what a subcommand does, or one topic of its options. Either fits a screen of 24 lines.
func help(w io.Writer, s subcommand, flags []urfave.Flag, word string) error {
	topics := topicsOf(flags)
	if word != "" {
		if !slices.Contains(topics, topic(word)) {
			return &cli.UsageError{Problem: fmt.Sprintf("no help on %q", word), Usage: "envharness --help [" + joinTopics(topics) + "]"}
		}
		writeTopic(w, topic(word), flags)
		return nil
	}
	writeUsage(w, s)
	shown := topics
	if len(flags) > onOneScreen {
		shown = topicsOf(s.flags)
	}
	for _, t := range shown {
		fmt.Fprintln(w)
		writeTopic(w, t, flags)
	}
	if len(shown) < len(topics) {
		fmt.Fprint(w, "\noptions, each topic shown by --help TOPIC:\n")
		for _, t := range topics {
			if !slices.Contains(shown, t) {
				fmt.Fprintf(w, "  %-12s %s\n", t, titleOf(t))
			}
		}
	}
	fmt.Fprint(w, "\nEvery option has a variable: --env-file is ENVHARNESS_ENV_FILE.\n")
	if s.usage == usage {
		fmt.Fprint(w, "Exit code: COMMAND's; 125 start-up failed; 126, 127 no COMMAND; 128+n a signal.\n")
	}
	return nil
}

// writeUsage tells the form of a command line and what it does; for envharness itself, of its subcommands too.
func writeUsage(w io.Writer, s subcommand) {
	forms := []subcommand{s}
	if s.usage == usage {
		all := subcommands(nil)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !isQuestion(name) {
				forms = append(forms, all[name])
			}
		}
		forms = append(forms, subcommand{usage: "envharness status|ready|drain|resume", summary: "ask a running harness"})
	}
	label := "usage:"
	for _, form := range forms {
		fmt.Fprintf(w, "%-6s %-*s  %s\n", label, len(usage), form.usage, form.summary)
		label = ""
	}
	if s.about != "" {
		fmt.Fprint(w, "\n", strings.Join(wrap(s.about, screenWidth), "\n"), "\n")
	}
}

func isQuestion(name string) bool {
	switch name {
	case harness.RequestStatus, harness.RequestReady, harness.RequestDrain, harness.RequestResume:
		return true
	}
	return false
}

// writeTopic lists the options of one topic with what they do beside them.
func writeTopic(w io.Writer, t topic, flags []urfave.Flag) {
	const column = 24
	fmt.Fprintf(w, "%s: %s\n", t, titleOf(t))
	for _, f := range flags {
		if topicOf(f) != t {
			continue
		}
		option := "  --" + strings.Join(f.Names(), ", -")
		argument, text := argumentOf(f)
		if argument != "" {
			option += " " + argument
		}
		lines := wrap(text, screenWidth-column)
		if len([]rune(option)) >= column {
			lines = append([]string{""}, lines...)
		}
		for _, line := range lines {
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s%s", column, option, line), " "))
			option = ""
		}
	}
	if note := notes[t]; note != "" {
		fmt.Fprintln(w, strings.Join(wrap(note, screenWidth), "\n"))
	}
}

// wrap breaks text between words into lines of at most width characters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line+" "+word)) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// argumentOf splits a flag's usage into the argument, which stands between backquotes before a colon, and what
// is said about it, with the default.
func argumentOf(f urfave.Flag) (argument, text string) {
	doc := f.(urfave.DocGenerationFlag)
	argument, text, found := strings.Cut(doc.GetUsage(), "`: ")
	if !found {
		argument, text = "", argument
	}
	if value := defaultOf(f, doc); value != "" {
		text += " (default " + value + ")"
	}
	return strings.TrimPrefix(argument, "`"), text
}

// defaultOf is a flag's default as one would type it, or empty where the option is off unless it is given.
func defaultOf(f urfave.Flag, doc urfave.DocGenerationFlag) string {
	switch f := f.(type) {
	case *urfave.BoolFlag:
		return ""
	case *urfave.DurationFlag:
		if f.Value == 0 {
			return ""
		}
		return shortest(f.Value)
	}
	return strings.Trim(doc.GetValue(), `[]"`)
}

// shortest is a duration without the units that are zero: 24h, not 24h0m0s.
func shortest(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

func topicsOf(flags []urfave.Flag) []topic {
	var present []topic
	for _, t := range topicTitles {
		if slices.ContainsFunc(flags, func(f urfave.Flag) bool { return topicOf(f) == t.topic }) {
			present = append(present, t.topic)
		}
	}
	return present
}

func titleOf(t topic) string {
	for _, known := range topicTitles {
		if known.topic == t {
			return known.title
		}
	}
	return ""
}

func joinTopics(topics []topic) string {
	var words []string
	for _, t := range topics {
		words = append(words, string(t))
	}
	return strings.Join(words, "|")
}
