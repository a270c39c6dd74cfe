package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMentioned: what neither words nor variables name is left out.
func TestMentioned(t *testing.T) {
	table := []Option{{Name: "one"}, {Name: "two"}, {Name: "three"}, {Name: "four"}, {Name: "five", Short: "f"}, {Name: "long-name"}}
	for name, test := range map[string]struct {
		words []string
		set   map[string]string
		want  []string
	}{
		"nothing":              {},
		"every spelling":       {words: []string{"--one", "x", "-two=a", "--three=3"}, want: []string{"one", "two", "three"}},
		"an alias":             {words: []string{"-f"}, want: []string{"five"}},
		"words are no options": {words: []string{"one", "two=2", "-", "--"}},
		"variables":            {set: map[string]string{"long-name": "x", "four": "1s"}, want: []string{"four", "long-name"}},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, o := range mentioned(table, test.words, func(option string) string { return test.set[option] }) {
				names = append(names, o.Name)
			}
			require.Equal(t, test.want, names)
			require.Len(t, table, 6)
		})
	}
}

func TestNearest(t *testing.T) {
	words := []string{"print", "check", "diff", "status", "ready"}
	for written, want := range map[string]string{
		"pritn": "print", "prnt": "print", "chekc": "check", "statsu": "status", "redy": "ready",
		"print": "", "nginx": "", "sh": "", "": "",
	} {
		require.Equal(t, want, Nearest(written, words), written)
	}
}
