// Package completion writes what completes a program's command line in bash, zsh and fish, from its option tables.
// envharness does not link it: its files are in completions/.
package completion

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/envharness/envharness/internal/cli"
)

// Shells are the names of those that can be written for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script is what a shell reads to complete the program.
func Script(shell string, program *cli.Program) (string, error) {
	l, err := newLine(program)
	if err != nil {
		return "", err
	}
	switch shell {
	case "bash":
		return l.bash(), nil
	case "zsh":
		return l.zsh(), nil
	case "fish":
		return l.fish(), nil
	}
	return "", fmt.Errorf("completions are for %s, not for %q", strings.Join(Shells(), ", "), shell)
}

// Files are the scripts by the names of their files.
func Files(program *cli.Program) (map[string]string, error) {
	files := map[string]string{}
	for _, shell := range Shells() {
		text, err := Script(shell, program)
		if err != nil {
			return nil, err
		}
		files[program.Name+"."+shell] = text
	}
	return files, nil
}

// kind is what a word can be.
type kind string

// The kinds that are no list of words. A list is its words, separated by blanks.
const (
	anything    kind = "" // nobody can tell
	files       kind = "@files"
	directories kind = "@directories"
	users       kind = "@users"
	programs    kind = "@programs" // and then what completes that program
	services    kind = "@services" // names that the registry is asked for
	entries     kind = "@values"
)

// isList tells a list of words from the other kinds.
func (k kind) isList() bool { return k != anything && !strings.HasPrefix(string(k), "@") }

// signals are those that people send.
const signals kind = "TERM INT HUP QUIT USR1 USR2 WINCH KILL"

// lists are the words that options take beside those of their tables, by program, command and option as far as they
// tell one apart.
var lists = map[string]kind{
	"log-level":                   "debug info warn error",
	"log-format":                  "text json",
	"envharness on-change":        "restart signal= exec= exit none",
	"envharness print format":     "sh dotenv json nul docker table",
	"envharness status format":    "json prometheus",
	"envdiscoverd docker-address": "host container",
}

// arguments are the kinds of options' arguments.
var arguments = map[string]kind{
	"FILE": files, "PATH": files, "notify|PATH": files, "DIR": directories, "USER[:GROUP]": users, "SIG": signals, "SIG,…": signals,
}

// enumerated are arguments that have a list.
var enumerated = []string{"LEVEL", "FORMAT", "POLICY", "MODE"}

// line is a program as a shell sees it.
type line struct {
	name        string
	main        command
	commands    []command
	commandLast bool // options may stand before the command
}

type command struct {
	name, summary string
	options       []option
	first, rest   kind // the words that are no options
	hands         bool // the first word, or what follows --, is a command line of its own
	dashes        bool // what follows -- is one
}

type option struct {
	name, short, usage string
	argument           string // empty for a switch
	takes              kind
	repeatable         bool
}

func newLine(p *cli.Program) (l line, err error) {
	l.name, l.commandLast = p.Name, !p.CommandFirst
	if l.main, err = newCommand(p, p.Main); err != nil {
		return l, err
	}
	for _, c := range p.Commands {
		one, err := newCommand(p, c)
		if err != nil {
			return l, err
		}
		l.commands = append(l.commands, one)
	}
	return l, nil
}

// all are the commands, that of no name first.
func (l line) all() []command { return append([]command{l.main}, l.commands...) }

// names are the commands' in one line.
func (l line) names() string {
	var names []string
	for _, c := range l.commands {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

func newCommand(p *cli.Program, c cli.Command) (command, error) {
	out := command{name: c.Name, summary: c.Summary, hands: c.OptionsEnd, dashes: strings.Contains(c.Arguments, "-- ")}
	if out.summary == "" || strings.Contains(out.summary, ";") {
		out.summary, _, _ = strings.Cut(c.About, ". ")
		out.summary = strings.TrimSuffix(out.summary, ".")
	}
	out.first, out.rest = words(p.Name, c)
	for _, o := range p.Table(c) {
		if c.Name == "" && c.Run == nil && o.Name != "help" && o.Name != "version" {
			continue // commands have options
		}
		takes, err := takes(p.Name, c.Name, o)
		if err != nil {
			return out, err
		}
		out.options = append(out.options, option{o.Name, o.Short, o.Usage, o.Argument, takes, o.IsRepeatable()})
	}
	return out, nil
}

// takes tells the kind of an option's argument.
func takes(program, command string, o cli.Option) (kind, error) {
	if len(o.Words) > 0 {
		return kind(strings.Join(o.Words, " ")), nil
	}
	for _, key := range []string{program + " " + command + " " + o.Name, program + " " + o.Name, o.Name} {
		if list, found := lists[key]; found {
			return list, nil
		}
	}
	if slices.Contains(enumerated, o.Argument) {
		return "", fmt.Errorf("package completion has no list of what --%s %s of %s %s can be", o.Name, o.Argument, program, command)
	}
	return arguments[o.Argument], nil
}

// words tells what the words of a command are that are no options, by how its usage calls them.
func words(program string, c cli.Command) (first, rest kind) {
	usage := strings.TrimPrefix(c.Arguments, "[OPTION...] ")
	word, _, _ := strings.Cut(regexp.MustCompile(`[\[\]]|\.\.\.|…`).ReplaceAllString(usage, ""), " ")
	switch {
	case strings.Contains(word, "|"):
		return kind(strings.ReplaceAll(word, "|", " ")), files
	case word == "SERVICE":
		return services, files
	case word == "NAME" && program == "envdiscover" && c.Name != "lock":
		return entries, files
	case word == "NAME=VALUE":
		const known = "READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1"
		return known, known
	case word == "DIR":
		return directories, directories
	case word == "DEST", word == "FILE":
		return files, files
	case c.OptionsEnd:
		return programs, programs
	}
	return anything, anything
}
