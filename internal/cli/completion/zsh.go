package completion

import (
	"fmt"
	"strings"
)

// zsh is a function for each command, by _arguments of zshcompsys(1).
func (l line) zsh() string {
	var text strings.Builder
	fmt.Fprintf(&text, "#compdef %s\n# Completes %[1]s in zsh. Written by make generate.\n\n", l.name)
	for _, c := range l.commands {
		fmt.Fprintf(&text, "_%s-%s() {\n%s}\n\n", l.name, c.name, l.zshArguments(c, c.first))
	}
	if l.asks() {
		fmt.Fprintf(&text, zshNames, l.name)
	}
	if len(l.commands) > 0 {
		l.zshCommands(&text)
	}
	fmt.Fprintf(&text, "_%s() {\n", l.name)
	if len(l.commands) > 0 {
		fmt.Fprintf(&text, zshDispatch, l.name)
	}
	text.WriteString(l.zshArguments(l.main, ""))
	fmt.Fprintf(&text, "}\n\n_%s \"$@\"\n", l.name)
	return text.String()
}

// asks tells whether names are asked for.
func (l line) asks() bool { return l.name == "envdiscover" }

const zshNames = `_%[1]s_services() { compadd "$@" -- ${(f)"$(%[1]s services 2>/dev/null)"} }
_%[1]s_values() { compadd "$@" -- ${(f)"$(%[1]s ls 2>/dev/null)"} }

`

const zshDispatch = `	if (( CURRENT > 2 && $+functions[_%[1]s-$words[2]] )); then
		shift words
		(( CURRENT-- ))
		_%[1]s-$words[1]
		return
	fi
`

// zshDashes takes away a -- that is the first word: _arguments completes nothing behind one there.
const zshDashes = `	if (( CURRENT > 2 )) && [[ $words[2] == -- ]]; then
		words[2]=()
		(( CURRENT-- ))
	fi
`

func (l line) zshCommands(text *strings.Builder) {
	fmt.Fprintf(text, "_%s_first() {\n\tlocal -a subcommands=(\n", l.name)
	for _, c := range l.commands {
		fmt.Fprintf(text, "\t\t%s\n", quoted(c.name+":"+strings.ReplaceAll(c.summary, ":", `\:`)))
	}
	fmt.Fprintf(text, "\t)\n\t_describe -t commands command subcommands\n")
	if l.main.hands {
		fmt.Fprintf(text, "\t_command_names -e\n")
	}
	text.WriteString("}\n\n")
}

func (l line) zshArguments(c command, first kind) string {
	var text strings.Builder
	if c.hands {
		text.WriteString(zshDashes)
	}
	text.WriteString("\t_arguments -S")
	for _, o := range c.options {
		fmt.Fprintf(&text, " \\\n\t\t%s", l.zshOption(o))
	}
	for _, word := range l.zshWords(c, first) {
		fmt.Fprintf(&text, " \\\n\t\t%s", quoted(word))
	}
	text.WriteString("\n")
	return text.String()
}

func (l line) zshOption(o option) string {
	about := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(o.usage)
	name, repeats := "--"+o.name, ""
	if o.repeatable {
		repeats = "*"
	}
	if o.argument == "" {
		if o.short != "" {
			return fmt.Sprintf("'(-%s %s)'{-%s,%s}%s", o.short, name, o.short, name, quoted("["+about+"]"))
		}
		return quoted(name + "[" + about + "]")
	}
	return quoted(repeats + name + "=[" + about + "]:" + strings.ReplaceAll(o.argument, ":", `\:`) + ":" + l.zshAction(o.takes))
}

// zshAction is what offers words of a kind.
func (l line) zshAction(k kind) string {
	switch {
	case k.isList():
		return "(" + string(k) + ")"
	case k == files:
		return "_files"
	case k == directories:
		return "_files -/"
	case k == users:
		return "_users"
	case k == programs:
		return "_command_names -e"
	case k == services, k == entries:
		return "_" + l.name + "_" + string(k[1:])
	}
	return " "
}

// zshWords is what the words are that are no options. A command line of its own has no more options of the
// program: (-) takes them away.
func (l line) zshWords(c command, first kind) []string {
	switch {
	case c.name == "" && len(l.commands) > 0 && c.hands:
		return []string{"(-)1:COMMAND:_" + l.name + "_first", "*::ARG:_normal"}
	case c.name == "" && len(l.commands) > 0:
		return []string{"1:COMMAND:_" + l.name + "_first"}
	case c.hands:
		return []string{"(-)1:COMMAND:_command_names -e", "*::ARG:_normal"}
	case c.dashes:
		return []string{"1:WORD:" + l.zshAction(first), "*:::PROGRAM:_normal"}
	case first == c.rest && first != anything:
		return []string{"*:WORD:" + l.zshAction(first)}
	case first != anything:
		return []string{"1:WORD:" + l.zshAction(first), "*:WORD:" + l.zshAction(c.rest)}
	}
	return nil
}
