// Package clitest tests command lines by their option tables.
package clitest

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli"
)

// values are what a script gives an option when something went wrong before: nothing, another option's word, a
// negative number, one that no type holds, the line of a file with its end.
func values() []string { return []string{"", "nonsense", "-1", "9999999999999999999", "1h\n"} }

// The sets of values that an option may have a use for.
var (
	Anything = values()
	NotEmpty = values()[1:]
	Empty    = values()[:1] // as if it were not given
	Nothing  []string
)

// Misuse tries each option of each command of a program with values that it mostly cannot have.
type Misuse struct {
	Program *cli.Program
	Usage   int // the exit code of a command line that cannot be meant

	// Once tries an option that several commands have with the first of them alone.
	Once bool

	// Accepts are the values that options of text take, by "command option" or by the option. Durations, numbers
	// and lists of words take none.
	Accepts map[string][]string

	// Run runs a command with an option that comes to an end by itself, and Meant tells that it was understood.
	Run   func(t *testing.T, command cli.Command, option cli.Option, value string) (code int, stderr string)
	Meant func(command cli.Command, code int, stderr string) bool
}

// Test fails where a value is not refused that has no meaning, where it is not told what to write instead, and where
// the program panics.
func (m Misuse) Test(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range append([]cli.Command{m.Program.Main}, m.Program.Commands...) {
		if c.Run == nil {
			continue
		}
		t.Run("command "+c.Name, func(t *testing.T) {
			for _, o := range m.Program.Table(c) {
				if o.Argument != "" && !(m.Once && tried[o.Name+o.Usage]) {
					m.testOption(t, c, o)
				}
				tried[o.Name+o.Usage] = true
			}
		})
	}
}

func (m Misuse) testOption(t *testing.T, c cli.Command, o cli.Option) {
	accepts, told := m.Accepts[c.Name+" "+o.Name]
	if !told {
		accepts, told = m.Accepts[o.Name]
	}
	_, isText := o.Target.(*string)
	require.True(t, told || !isText || len(o.Words) > 0 || o.Name == "log-level" || o.Name == "log-format", "which values does --%s take?", o.Name)
	for _, value := range values() {
		code, stderr := m.Run(t, c, o, value)
		about := fmt.Sprintf("%s --%s=%q exits %d: %s", c.Name, o.Name, value, code, stderr)
		require.NotContains(t, stderr, "goroutine ", about)
		if slices.Contains(accepts, value) {
			require.True(t, m.Meant(c, code, stderr), about)
			continue
		}
		require.Equal(t, m.Usage, code, about)
		require.Regexp(t, regexp.MustCompile(`(?m)^\w+: error: .+\n\w+: hint: .+$`), stderr, about)
		require.False(t, m.Meant(c, code, stderr), about)
	}
}
