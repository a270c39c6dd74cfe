package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// OptionsFirst moves options in front of the other words, so that people may write them behind. What stands
// behind -- is left alone. Which options take a value is known from flags; unknown ones are left for the
// parser to refuse.
func OptionsFirst(flags []urfave.Flag, args []string) []string {
	var options, words []string
	for len(args) > 0 {
		n := optionLength(flags, args)
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

// FirstWord gives the place of the first word that is neither an option nor an option's value; len(args) when
// there is none.
func FirstWord(flags []urfave.Flag, args []string) int {
	at := 0
	for at < len(args) {
		n := optionLength(flags, args[at:])
		if n == 0 || args[at] == "--" {
			return at
		}
		at += n
	}
	return min(at, len(args))
}

// optionLength is how many words the option at the front of args has: 0 when there is none. Its
// value may be missing.
func optionLength(flags []urfave.Flag, args []string) int {
	if len(args[0]) < 2 || args[0][0] != '-' {
		return 0
	}
	name, _, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	for _, flag := range flags {
		if !slices.Contains(flag.Names(), name) {
			continue
		}
		if _, isSwitch := flag.(*urfave.BoolFlag); !isSwitch && !hasValue {
			return 2
		}
	}
	return 1
}
