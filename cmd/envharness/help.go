package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/cli"
)

// topicTitles are the topics of --help in the order they are listed.
var topicTitles = []struct {
	topic topic
	title string
}{
	{directories, "where values and announcements come from"},
	{failures, "time limits, further tries, last known values"},
	{values, "what is required, what empty means, who wins"},
	{commandOptions, "COMMAND's user and directory"},
	{initOptions, "staying as PID 1: signals, stop, orphans"},
	{changes, "when values change while COMMAND runs"},
	{readiness, "when COMMAND is ready and well, and what follows"},
	{asking, "where the harness is reached"},
	{reporting, "log, timeline, help"},
	{printing, "what print shows"},
}

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
	fmt.Fprintf(w, "usage: %s\n       %s\n", s.usage, s.summary)
	if s.usage == usage {
		writeSubcommands(w)
	}
	if len(flags) <= 12 {
		for _, t := range topics {
			writeTopic(w, t, flags)
		}
		return nil
	}
	fmt.Fprint(w, "\noptions, each topic shown by --help TOPIC:\n")
	for _, t := range topics {
		fmt.Fprintf(w, "  %-12s %s\n", t, titleOf(t))
	}
	fmt.Fprint(w, "\nEvery option has a variable: --env-file is ENVHARNESS_ENV_FILE.\n")
	if s.usage == usage {
		fmt.Fprint(w, "Exit: COMMAND's own code; 125 start-up failed; 126, 127 COMMAND cannot be\nexecuted, is not found; 128+n signal n ended start-up.\n")
	}
	return nil
}

func writeSubcommands(w io.Writer) {
	all := subcommands(nil)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(w, "       %s\n", all[name].usage)
	}
}

// writeTopic lists the options of one topic, two lines an option that is too long for one.
func writeTopic(w io.Writer, t topic, flags []urfave.Flag) {
	const column = 24
	fmt.Fprintf(w, "\n%s: %s\n", t, titleOf(t))
	for _, f := range flags {
		if topicOf(f) != t {
			continue
		}
		argument, text := argumentOf(f)
		option := strings.TrimRight("  --"+f.Names()[0]+" "+argument, " ")
		if len([]rune(option)) >= column {
			option += "\n" + strings.Repeat(" ", column)
		}
		fmt.Fprintf(w, "%-*s%s\n", column, option, text)
	}
}

// argumentOf cuts the argument, which urfave/cli marks with backquotes, out of a flag's usage, and adds the
// default.
func argumentOf(f urfave.Flag) (argument, text string) {
	doc := f.(urfave.DocGenerationFlag)
	text = doc.GetUsage()
	if before, rest, found := strings.Cut(text, "`"); found {
		var after string
		argument, after, _ = strings.Cut(rest, "`")
		text = strings.TrimSpace(strings.TrimPrefix(before+argument+after, before+argument))
		if before != "" {
			text = before + argument + after
		}
		text = strings.TrimSpace(strings.TrimPrefix(text, ":"))
	}
	if value := strings.Trim(doc.GetValue(), `[]"`); value != "" && value != "0" && value != "0s" && value != "false" {
		text += " (" + value + ")"
	}
	return argument, text
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
