package main

import (
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/cli"
)

// help prints the list of commands, one command, or one topic of a command's options. Each fits a screen of 24
// lines.
func (p *program) help(words []string) error {
	var text strings.Builder
	switch {
	case len(words) == 0:
		writeCommands(&text)
	default:
		i := slices.IndexFunc(commands(), func(c command) bool { return c.name == words[0] })
		if i < 0 {
			return &cli.UsageError{Problem: fmt.Sprintf("no help on %q", words[0]), Usage: "envdiscover help [COMMAND [TOPIC]]"}
		}
		topic := ""
		if len(words) > 1 {
			topic = words[1]
		}
		if err := writeCommand(&text, commands()[i], topic); err != nil {
			return err
		}
	}
	_, err := p.stdout.Write([]byte(text.String()))
	return err
}

func writeCommands(text *strings.Builder) {
	fmt.Fprintf(text, "usage: %s\n       envdiscover ./SCRIPT [ARG...]\n\n", usage)
	for _, c := range commands() {
		fmt.Fprintf(text, "  %-11s%s\n", c.name, c.summary)
	}
	text.WriteString(`
The registry is --url or ENVDISCOVER_URL, as etcd://10.0.0.1:2379; else that of
DOCKERD, or what answers on this machine. A SCRIPT is one command in a file.
Options of a command: envdiscover COMMAND --help
Exit: 0, 1 failure, 2 usage, 3 nothing found.
`)
}

// topicTitles are the groups of options that are too many for one screen.
var topicTitles = []struct{ topic, title string }{
	{topicService, "what is announced"},
	{topicAddress, "where it can be reached"},
	{topicCheck, "how it is"},
	{topicHold, "how long it is announced"},
	{topicRegistry, "which registry, log"},
}

func writeCommand(text *strings.Builder, c command, topic string) error {
	flags := append(c.flags(), commonFlags()...)
	if topic == "" {
		fmt.Fprintf(text, "usage: %s\n       %s\n\n", c.usage(), c.summary)
	}
	if topic == "" && !hasTopics(c) {
		writeOptions(text, flags)
		return nil
	}
	for _, t := range topicTitles {
		switch {
		case topic == "":
			fmt.Fprintf(text, "  %-11s%s\n", t.topic, t.title)
		case topic == t.topic:
			writeOptions(text, slices.DeleteFunc(flags, func(f urfave.Flag) bool { return topicOf(f) != topic }))
			return nil
		}
	}
	if topic != "" {
		return &cli.UsageError{Problem: fmt.Sprintf("no help on %q", topic), Usage: "envdiscover help " + c.name + " service|address|check|hold|registry"}
	}
	fmt.Fprintf(text, "\nEach topic is shown by: envdiscover %s --help TOPIC\n", c.name)
	return nil
}

// hasTopics tells whether a command's own options are shown by topics.
func hasTopics(c command) bool {
	return slices.ContainsFunc(c.flags(), func(f urfave.Flag) bool { return topicOf(f) != "" })
}

func topicOf(f urfave.Flag) string { return f.(urfave.CategorizableFlag).GetCategory() }

// writeOptions writes an option a line, or two when it is long.
func writeOptions(text *strings.Builder, flags []urfave.Flag) {
	const column = 26
	for _, f := range flags {
		argument, usage := argumentOf(f)
		option := strings.TrimRight("  --"+f.Names()[0]+" "+argument, " ")
		if len([]rune(option)) >= column {
			option += "\n" + strings.Repeat(" ", column)
		}
		fmt.Fprintf(text, "%-*s%s\n", column, option, usage)
	}
}

// argumentOf cuts the option's argument, which stands in backquotes, out of its usage, and adds the default.
func argumentOf(f urfave.Flag) (argument, usage string) {
	doc := f.(urfave.DocGenerationFlag)
	before, rest, found := strings.Cut(doc.GetUsage(), "`")
	if usage = before; found {
		var after string
		argument, after, _ = strings.Cut(rest, "`")
		if usage = before + argument + after; before == "" {
			usage = strings.TrimLeft(after, " :;")
		}
	}
	if value := strings.Trim(doc.GetValue(), `[]"`); !slices.Contains([]string{"", "0", "0s", "false"}, value) {
		usage = strings.TrimSpace(usage + " (" + value + ")")
	}
	return argument, usage
}
