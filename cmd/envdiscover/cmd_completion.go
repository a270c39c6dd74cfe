package main

import (
	"context"
	"slices"
	"strings"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/cli/completion"
)

func (p *program) completionCommand() cli.Command {
	return cli.Command{
		Name:      "completion",
		Arguments: "bash|zsh|fish",
		Least:     1,
		Most:      1,
		Summary:   "complete commands in bash, zsh or fish",
		About:     "Prints what completes commands, their options, services and values in bash, zsh or fish.",
		Example:   `eval "$(envdiscover completion bash)"`,
		Alone:     true,
		Run:       p.runs(func(_ context.Context, c *call) error { return c.completion() }),
	}
}

func (c *call) completion() error {
	shell := c.Args[0]
	if !slices.Contains(completion.Shells(), shell) {
		return c.Misuse("completions are for %s, not for %q", strings.Join(completion.Shells(), ", "), shell)
	}
	text, err := completion.Script(shell, c.commandLine())
	if err != nil {
		return err
	}
	_, err = c.stdout.Write([]byte(text))
	return err
}
