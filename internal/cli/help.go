package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	screenWidth  = 80
	screenHeight = 24 // a page of help is no longer
)

// answerHelp shows a command, another one, or one topic of the options.
func (p *Program) answerHelp(c Command, words []string) error {
	if len(words) > 0 && c.Name == "" {
		if other, found := p.command(words[0]); found {
			c, words = other, words[1:]
		}
	}
	if len(words) == 0 {
		_, err := io.WriteString(p.Stdout, p.Page(c))
		return err
	}
	topics := p.topicsOf(c)
	if !slices.ContainsFunc(topics, func(t Topic) bool { return t.Name == words[0] }) {
		return p.noHelp(c, topics, words[0])
	}
	_, err := io.WriteString(p.Stdout, p.topicPage(c, words[0]))
	return err
}

// noHelp is about a word that is neither a topic nor a command.
func (p *Program) noHelp(c Command, topics []Topic, word string) error {
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	usage := strings.Join(strings.Fields(p.Name+" "+c.Name+" --help"), " ")
	if len(names) > 0 {
		usage += " [" + strings.Join(names, "|") + "]"
	}
	if c.Name == "" {
		for _, command := range p.Commands {
			names = append(names, command.Name)
		}
	}
	return suggest(Misuse(usage, "no help on %q", word), Nearest(word, names))
}

// topicsOf are the groups that a command's options are in, in the order of help.
func (p *Program) topicsOf(c Command) []Topic {
	table := p.Table(c)
	return slices.DeleteFunc(slices.Clone(p.Topics), func(t Topic) bool {
		return !slices.ContainsFunc(table, func(o Option) bool { return o.Topic == t.Name })
	})
}

// Page tells what a command does, by a sentence and an example, its form, and its options. Those that have a topic
// are listed by topic where the page would be longer than a screen.
func (p *Program) Page(c Command) string {
	whole := p.pageWith(c, p.topicsOf(c), nil)
	if strings.Count(whole, "\n") <= screenHeight {
		return whole
	}
	return compact(p.pageWith(c, nil, p.topicsOf(c)))
}

// compact takes empty lines out of a page that is longer than a screen, from its end on.
func compact(page string) string {
	for strings.Count(page, "\n") > screenHeight {
		at := strings.LastIndex(page, "\n\n")
		if at < 0 {
			break
		}
		page = page[:at] + page[at+1:]
	}
	return page
}

func (p *Program) pageWith(c Command, shown, listed []Topic) string {
	var text strings.Builder
	about := c.About
	if about == "" {
		about = Sentence(c.Summary)
	}
	for _, line := range wrap(about, screenWidth) {
		fmt.Fprintln(&text, line)
	}
	if c.Example != "" {
		fmt.Fprintf(&text, "\n  %s\n", c.Example)
	}
	if c.Name == "" && len(p.Commands) > 0 {
		fmt.Fprintf(&text, "\nusage: %s\n", c.Usage(p.Name))
		p.writeCommands(&text)
	} else {
		fmt.Fprintf(&text, "\nusage: %s\n", c.Usage(p.Name))
	}
	table := p.Table(c)
	if c.Name == "" && c.Run == nil {
		table = nil // commands have options
	}
	writeOptions(&text, table, "", true)
	for _, t := range shown {
		if len(table) > 0 {
			fmt.Fprintf(&text, "\n%s\n", t.heading())
			writeOptions(&text, table, t.Name, false)
		}
	}
	if len(listed) > 0 && len(table) > 0 {
		fmt.Fprintf(&text, "\noptions, by %s TOPIC:\n", strings.Join(strings.Fields(p.Name+" "+c.Name+" --help"), " "))
		for _, t := range listed {
			fmt.Fprintf(&text, "  %-12s %s\n", t.Name, t.Title)
		}
	}
	if c.Notes != "" {
		text.WriteString("\n" + c.Notes + "\n")
	}
	return text.String()
}

func (t Topic) heading() string { return t.Name + ": " + t.Title }

func (p *Program) writeCommands(text *strings.Builder) {
	for _, c := range p.Commands {
		name := c.Name
		if c.Listed != "" {
			name = c.Listed
		}
		if name != "-" {
			fmt.Fprintf(text, "  %-12s %s\n", name, c.Summary)
		}
	}
}

// topicPage lists the options of one topic.
func (p *Program) topicPage(c Command, name string) string {
	var text strings.Builder
	t := p.Topics[slices.IndexFunc(p.Topics, func(t Topic) bool { return t.Name == name })]
	fmt.Fprintln(&text, t.heading())
	writeOptions(&text, p.Table(c), name, false)
	if t.Note != "" {
		fmt.Fprintln(&text, strings.Join(wrap(t.Note, screenWidth), "\n"))
	}
	return text.String()
}

// writeOptions lists options with what they do beside them, those of a topic.
func writeOptions(text *strings.Builder, table []Option, topic string, apart bool) {
	const column = 24
	for _, o := range table {
		if o.Topic != topic {
			continue
		}
		if apart {
			text.WriteByte('\n')
			apart = false
		}
		option, usage := "  "+o.dashed(), o.Usage
		if o.Short != "" {
			option += ", -" + o.Short
		}
		if o.Argument != "" {
			option += " " + o.Argument
		}
		if value := o.ByDefault(); value != "" {
			usage += " (default " + value + ")"
		}
		lines := wrap(usage, screenWidth-column)
		if utf8.RuneCountInString(option) >= column {
			lines = append([]string{""}, lines...)
		}
		for _, line := range lines {
			fmt.Fprintln(text, strings.TrimRight(fmt.Sprintf("%-*s%s", column, option, line), " "))
			option = ""
		}
	}
}

// Sentence makes one of a few words.
func Sentence(words string) string {
	first, size := utf8.DecodeRuneInString(words)
	if size == 0 {
		return words
	}
	return string(unicode.ToUpper(first)) + words[size:] + "."
}

// wrap breaks text between words into lines of at most width characters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Pages gives the command line of every page of help.
func (p *Program) Pages() (lines [][]string) {
	add := func(c Command, words ...string) {
		lines = append(lines, append(words, "--help"))
		for _, t := range p.topicsOf(c) {
			lines = append(lines, append(slices.Clone(words), "--help", t.Name))
		}
	}
	if add(p.Main); p.Main.Run == nil {
		lines = lines[:1]
	}
	for _, c := range p.Commands {
		add(c, c.Name)
	}
	return lines
}

// Check tells what is wrong with the tables, for tests.
func (p *Program) Check() error {
	for _, c := range append([]Command{p.Main}, p.Commands...) {
		seen := map[string]bool{}
		for _, o := range p.Table(c) {
			_ = o.flag() // which knows the types of targets
			switch {
			case seen[o.Name]:
				return fmt.Errorf("command %q has two options %s", c.Name, o.dashed())
			case o.Usage == "" || o.isSwitch() != (o.Argument == ""):
				return fmt.Errorf("option %s of command %q has no usage, or no argument though it takes one", o.dashed(), c.Name)
			case o.Topic != "" && !slices.ContainsFunc(p.Topics, func(t Topic) bool { return t.Name == o.Topic }):
				return fmt.Errorf("option %s of command %q is of the topic %q, which is none", o.dashed(), c.Name, o.Topic)
			}
			seen[o.Name] = true
		}
	}
	return nil
}
