// Package manual writes man pages: the option tables of a program, and the passages of the documents that belong to
// them. Programs do not import it; their tests do, which compare what it writes with the files in man/.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/envharness/envharness/internal/cli"
)

// date is that of the pages: when their contents were last read as a whole.
const date = "2026-11-28"

// Passage is a section of a document that a page has, too.
type Passage struct {
	Title    string // in the page, as EXIT STATUS
	Document string // its path from the root of the tree
	Heading  string // of the section; empty for the whole document
}

// Manual is the pages of one program.
type Manual struct {
	Program *cli.Program
	Summary string // of the program, in a few words
	Section string // of the manual: 1, 7 or 8
	Root    string // of the tree

	Passages map[string][]Passage // by command; the program's own under ""
	See      []string             // other pages, as envdiscover(1)
}

// Pages gives every page by the name of its file: one of the program, one of each command.
func (m Manual) Pages() (map[string]string, error) {
	pages := map[string]string{}
	for _, c := range append([]cli.Command{m.Program.Main}, m.Program.Commands...) {
		text, err := m.page(c)
		if err != nil {
			return nil, err
		}
		pages[m.name(c)+"."+m.Section] = text
	}
	return pages, nil
}

// Document is a page that is one document as a whole.
func Document(root, name, section, summary, document string, see []string) (string, error) {
	var page roff
	page.head(name, section, summary)
	if err := page.passages(root, []Passage{{Title: "DESCRIPTION", Document: document}}); err != nil {
		return "", err
	}
	page.see(see)
	return page.text(), nil
}

// name is a page's: that of the program, and of the command.
func (m Manual) name(c cli.Command) string {
	return strings.TrimSuffix(m.Program.Name+"-"+c.Name, "-")
}

func (m Manual) page(c cli.Command) (string, error) {
	var page roff
	summary := c.Summary
	if c.Name == "" {
		summary = m.Summary
	} else if summary == "" || strings.Contains(summary, ";") {
		summary, _, _ = strings.Cut(c.About, ". ")
		summary = strings.TrimSuffix(summary, ".")
	}
	page.head(m.name(c), m.Section, summary)
	page.line(".SH SYNOPSIS")
	page.line(".B " + escape(c.Usage(m.Program.Name)))
	page.line(".SH DESCRIPTION")
	about := c.About
	if about == "" {
		about = cli.Sentence(c.Summary)
	}
	page.paragraph(about)
	if c.Example != "" {
		page.code(c.Example)
	}
	m.commands(&page, c)
	m.options(&page, c)
	if err := page.passages(m.Root, m.Passages[c.Name]); err != nil {
		return "", err
	}
	see := slices.Clone(m.See)
	if c.Name != "" {
		see = append([]string{m.Program.Name + "(" + m.Section + ")"}, see...)
	}
	page.see(see)
	return page.text(), nil
}

// commands lists those of the program, on its own page.
func (m Manual) commands(page *roff, of cli.Command) {
	if of.Name != "" || len(m.Program.Commands) == 0 {
		return
	}
	page.line(".SH COMMANDS")
	for _, c := range m.Program.Commands {
		page.line(".TP")
		page.line(".BR " + escape(m.Program.Name+"-"+c.Name) + " (" + m.Section + ")")
		summary := c.Summary
		if summary == "" || strings.Contains(summary, ";") {
			summary, _, _ = strings.Cut(c.About, ". ")
		}
		page.flow(inline(strings.TrimSuffix(cli.Sentence(summary), ".") + "."))
	}
}

// options lists those of a command, by topic; nothing where only commands have some.
func (m Manual) options(page *roff, c cli.Command) {
	if c.Name == "" && c.Run == nil {
		return
	}
	page.line(".SH OPTIONS")
	table := m.Program.Table(c)
	m.group(page, table, "")
	for _, t := range m.Program.Topics {
		if slices.ContainsFunc(table, func(o cli.Option) bool { return o.Topic == t.Name }) {
			page.line(".SS " + words(strings.TrimSuffix(cli.Sentence(t.Title), ".")))
			m.group(page, table, t.Name)
			if t.Note != "" {
				page.paragraph(t.Note)
			}
		}
	}
}

func (m Manual) group(page *roff, table []cli.Option, topic string) {
	for _, o := range table {
		if o.Topic != topic {
			continue
		}
		page.line(".TP")
		name := `\fB` + escape("--"+o.Name) + `\fR`
		if o.Short != "" {
			name += `, \fB` + escape("-"+o.Short) + `\fR`
		}
		if o.Argument != "" {
			name += ` \fI` + escape(o.Argument) + `\fR`
		}
		page.line(name)
		text := cli.Sentence(o.Usage)
		if value := o.ByDefault(); value != "" {
			text += " Default: " + value + "."
		}
		if m.hasVariable(o) {
			text += " Variable: `" + cli.Variable(m.Program.Prefix, o.Name) + "`."
		}
		page.flow(inline(text))
	}
}

func (m Manual) hasVariable(o cli.Option) bool {
	return o.Name != "help" && o.Name != "version" && (m.Program.HasVariable == nil || m.Program.HasVariable(o.Name))
}

// passages writes sections of documents.
func (r *roff) passages(root string, list []Passage) error {
	for _, p := range list {
		text, err := os.ReadFile(filepath.Join(root, p.Document))
		if err != nil {
			return err
		}
		part, found := section(string(text), p.Heading)
		if !found {
			return fmt.Errorf("%s has no section %q", p.Document, p.Heading)
		}
		r.line(".SH " + escape(p.Title))
		r.markdown(part)
	}
	return nil
}

// section is the text below a heading, up to the next of its rank; of a whole document what follows its title and
// the list of its sections.
func section(text, heading string) (string, bool) {
	if heading == "" {
		_, text, found := strings.Cut(text, "\n\n")
		return text, found
	}
	_, text, found := strings.Cut(text, "\n## "+heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return text, found
}

// see lists other pages.
func (r *roff) see(pages []string) {
	if len(pages) == 0 {
		return
	}
	r.line(".SH SEE ALSO")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		r.line(".BR " + escape(name) + " (" + section + end)
	}
}
