package cli

import (
	"slices"
	"strings"
)

// optionsFirst moves options in front of the other words, so that people may write them behind. What stands
// behind -- is left alone. Which options take a value is known from the table; unknown ones are left for the
// parser to refuse.
func optionsFirst(table []Option, args []string) []string {
	var options, words []string
	for len(args) > 0 {
		n := optionLength(table, args)
		switch {
		case args[0] == "--":
			words = append(words, args[1:]...)
			n = len(args)
		case n == 0:
			n = 1
			words = append(words, args[0])
		case n > len(args):
			return append(options, args[0]) // nothing behind it, so that the parser misses its value
		default:
			options = append(options, args[:n]...)
		}
		args = args[n:]
	}
	return slices.Concat(options, []string{"--"}, words)
}

// firstWord gives the place of the first word that is neither an option nor an option's value; len(args) when
// there is none.
func firstWord(table []Option, args []string) int {
	at := 0
	for at < len(args) {
		n := optionLength(table, args[at:])
		if n == 0 || args[at] == "--" {
			return at
		}
		at += n
	}
	return min(at, len(args))
}

// optionLength is how many words the option at the front of args has: 0 when there is none. Its
// value may be missing.
func optionLength(table []Option, args []string) int {
	if len(args[0]) < 2 || args[0][0] != '-' {
		return 0
	}
	name, _, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	for _, o := range table {
		if o.isCalled(name) && !o.isSwitch() && !hasValue {
			return 2
		}
	}
	return 1
}

// mentioned picks the options that words or a variable name: urfave/cli does so much for each flag that a program
// with many is started noticeably sooner without the others. Words that are no options do no harm.
func mentioned(table []Option, words []string, variable func(option string) string) []Option {
	said := map[string]bool{}
	for _, word := range words {
		if name := strings.TrimLeft(word, "-"); name != word {
			name, _, _ = strings.Cut(name, "=")
			said[name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(table), func(o Option) bool {
		return !said[o.Name] && !(o.Short != "" && said[o.Short]) && variable(o.Name) == ""
	})
}
