package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli"
)

// TestReadmeTellsEveryOptionOfEnvdiscover compares docs/envdiscover.md with the option tables: each option of each
// command with its argument and default, each variable, each command.
func TestReadmeTellsEveryOptionOfEnvdiscover(t *testing.T) {
	text, err := os.ReadFile("../../docs/envdiscover.md")
	require.NoError(t, err)
	line := newProgram().commandLine()
	var names []string
	for _, c := range line.Commands {
		names = append(names, c.Name)
		form := "| `" + strings.ReplaceAll(strings.TrimSpace(c.Name+" "+c.Arguments), "|", `\|`) + "` | "
		require.True(t, strings.Contains(string(text), "\n"+form), "docs/envdiscover.md has no row %s", form)
	}
	var told, are []string
	row := regexp.MustCompile("(?m)^\\| `--([a-z-]+)(?: ([^`]+))?`(?:, `-h`)? \\| (.+?) \\| (?:off|`([^`]+)`) \\| .+ \\|$")
	for _, fields := range row.FindAllStringSubmatch(string(text), -1) {
		for _, name := range commandsOf(fields[3], names) {
			told = append(told, strings.Join([]string{name, fields[1], fields[2], fields[4]}, " "))
		}
	}
	variables := map[string]bool{}
	for _, c := range line.Commands {
		for _, o := range line.Table(c) {
			are = append(are, strings.Join([]string{c.Name, o.Name, o.Argument, o.ByDefault()}, " "))
			if hasVariable(o.Name) {
				variables[cli.Variable(line.Prefix, o.Name)] = true
			}
		}
	}
	require.ElementsMatch(t, are, told)
	for variable := range variables {
		require.True(t, strings.Contains(string(text), "`"+variable+"`"), "docs/envdiscover.md does not tell of %s", variable)
	}
}

// commandsOf reads a cell that lists commands, or tells all, or all but some.
func commandsOf(cell string, all []string) []string {
	listed := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(cell, -1)
	var names []string
	for _, match := range listed {
		names = append(names, match[1])
	}
	if strings.HasPrefix(cell, "all") {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(names, name) })
	}
	return names
}
