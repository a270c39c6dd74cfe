package completion

import (
	"fmt"
	"strings"
)

// fish is a line for each option of each command, and a function that reads the words up to the cursor once.
func (l line) fish() string {
	var text strings.Builder
	fmt.Fprintf(&text, fishFunctions, l.name, l.names(), l.fishTakes(), l.fishNames(func(c command) bool { return c.hands }),
		l.fishNames(func(c command) bool { return c.hands || c.dashes }), l.fishPlace())
	fmt.Fprintf(&text, "\ncomplete --command %s --no-files\n", l.name)
	fmt.Fprintf(&text, "complete --command %[1]s --condition __%[1]s_hands --arguments '(__%[1]s_program)'\n", l.name)
	for _, c := range l.all() {
		if c.name != "" {
			fmt.Fprintf(&text, "complete --command %[1]s --condition '__%[1]s_is - 0' --arguments %[2]s --description %[3]s\n",
				l.name, c.name, fishQuoted(c.summary))
		}
		for _, o := range c.options {
			text.WriteString(l.fishOption(c, o))
		}
		text.WriteString(l.fishWords(c))
	}
	return text.String()
}

// fishQuoted is a word in single quotes, where fish knows two escapes.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// named is a command's name, or a hyphen for the program itself.
func (c command) named() string {
	if c.name == "" {
		return "-"
	}
	return c.name
}

func (l line) fishOption(c command, o option) string {
	text := fmt.Sprintf("complete --command %[1]s --condition '__%[1]s_is %[2]s' --long-option %[3]s", l.name, c.named(), o.name)
	if o.short != "" {
		text += " --short-option " + o.short
	}
	if o.argument != "" {
		switch action := l.fishAction(o.takes); action {
		case "":
			text += " --exclusive"
		case "files":
			text += " --require-parameter --force-files"
		default:
			text += " --exclusive --arguments " + action
		}
	}
	return text + " --description " + fishQuoted(o.usage) + "\n"
}

// fishAction is what offers words of a kind; files are fish's own.
func (l line) fishAction(k kind) string {
	switch {
	case k.isList():
		return fishQuoted(string(k))
	case k == files:
		return "files"
	case k == directories:
		return "'(__fish_complete_directories)'"
	case k == users:
		return "'(__fish_complete_users)'"
	case k == programs:
		return "'(__fish_complete_command)'"
	case k == services:
		return "'(" + l.name + " services 2>/dev/null)'"
	case k == entries:
		return "'(" + l.name + " ls 2>/dev/null)'"
	}
	return ""
}

func (l line) fishWords(c command) string {
	var text string
	for i, k := range []kind{c.first, c.rest} {
		action := l.fishAction(k)
		if action == "" || i == 1 && c.hands {
			continue
		}
		at := []string{" 0", " more"}[i]
		text += fmt.Sprintf("complete --command %[1]s --condition '__%[1]s_is %[2]s%[3]s'", l.name, c.named(), at)
		if action == "files" {
			text += " --force-files\n"
		} else {
			text += " --arguments " + action + "\n"
		}
	}
	return text
}

// fishTakes lists the options that take something, by command.
func (l line) fishTakes() string {
	var text strings.Builder
	for _, c := range l.all() {
		for _, o := range c.options {
			if o.argument != "" {
				fmt.Fprintf(&text, " '%s --%s'", c.named(), o.name)
			}
		}
	}
	return strings.TrimSpace(text.String())
}

func (l line) fishNames(is func(command) bool) string {
	var names []string
	for _, c := range l.all() {
		if is(c) {
			names = append(names, c.named())
		}
	}
	return strings.Join(append(names, "none"), " ")
}

// fishPlace is the place that a command's name has.
func (l line) fishPlace() string {
	if l.commandLast {
		return "test $place = 0"
	}
	return "test $at = 1"
}

const fishFunctions = `# Completes %[1]s in fish. Written by make generate.

# Prints the command, the place of the word at the cursor, and then the words of a command line of its own.
function __%[1]s_state
    set --local words (commandline --tokenize --current-process --cut-at-cursor)
    set --local command -
    set --local place 0
    set --local at 0
    set --local ended
    set --erase words[1]
    while set --query words[1]
        set --local word $words[1]
        set --erase words[1]
        set at (math $at + 1)
        if test "$word" = -- -a -z "$ended"
            set ended yes
            if contains -- $command %[5]s
                printf '%%s\n' $command hands $words
                return
            end
        else if string match --quiet -- '-*=*' $word; and test -z "$ended"
        else if string match --quiet -- '-*' $word; and test -z "$ended"
            if contains -- "$command $word" %[3]s
                set --erase words[1]
            end
        else if test $command = -; and %[6]s; and contains -- $word %[2]s
            set command $word
        else if contains -- $command %[4]s
            printf '%%s\n' $command hands $word $words
            return
        else
            set place (math $place + 1)
        end
    end
    printf '%%s\n' $command $place
end

# Tells whether the cursor is at a word of that command, and at that place if one is given.
function __%[1]s_is
    set --local state (__%[1]s_state)
    test "$state[1]" = "$argv[1]" -a "$state[2]" != hands; or return 1
    switch "$argv[2]"
        case ''
            return 0
        case more
            test $state[2] -gt 0
        case '*'
            test $state[2] = $argv[2]
    end
end

function __%[1]s_hands
    test (__%[1]s_state)[2] = hands
end

function __%[1]s_program
    set --local words (__%[1]s_state)[3..-1]
    complete --do-complete (string join -- ' ' (string escape -- $words) (commandline --current-token))
end
`
