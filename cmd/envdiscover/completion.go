package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/envharness/envharness/internal/cli"
)

func (p *program) completionCommand() cli.Command {
	return cli.Command{
		Name:      "completion",
		Arguments: "bash|zsh",
		Least:     1,
		Most:      1,
		Summary:   "complete commands in bash or zsh",
		About:     "Prints what completes commands, their options, services and values in bash or zsh.",
		Example:   `eval "$(envdiscover completion bash)"`,
		Alone:     true,
		Run:       p.runs(func(_ context.Context, c *call) error { return c.completion() }),
	}
}

func (c *call) completion() error {
	var text string
	switch shell := c.Args[0]; shell {
	case "bash":
		text = bashCompletion(c.commandLine())
	case "zsh":
		text = "autoload -Uz bashcompinit && bashcompinit\n" + bashCompletion(c.commandLine())
	default:
		return c.Misuse("completions are for bash and zsh, not for %q", shell)
	}
	_, err := c.stdout.Write([]byte(text))
	return err
}

// bashCompletion completes commands, their options, and names, which it asks the registry for.
func bashCompletion(line *cli.Program) string {
	var names, cases strings.Builder
	for _, c := range line.Commands {
		names.WriteString(" " + c.Name)
		var options []string
		for _, o := range line.Table(c) {
			options = append(options, "--"+o.Name)
		}
		fmt.Fprintf(&cases, "\t%s) options='%s' words=%s ;;\n", c.Name, strings.Join(options, " "), completedBy(c))
	}
	return fmt.Sprintf(`_envdiscover() {
	local word=${COMP_WORDS[COMP_CWORD]} options='' words=''
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W '%s' -- "$word"))
		return
	fi
	case "${COMP_WORDS[1]}" in
%s	esac
	case "$word" in
	-*) words=$options ;;
	*) [ "$COMP_CWORD" -eq 2 ] || { COMPREPLY=($(compgen -f -- "$word")); return; }
		case "$words" in
		values) words=$(envdiscover ls 2>/dev/null) ;;
		services) words=$(envdiscover services 2>/dev/null) ;;
		esac ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _envdiscover envdiscover
`, strings.TrimSpace(names.String()), cases.String())
}

// completedBy tells what a command's first argument is.
func completedBy(c cli.Command) string {
	switch {
	case strings.HasPrefix(c.Arguments, "NAME") && c.Name != "lock":
		return "values"
	case strings.HasPrefix(c.Arguments, "SERVICE"):
		return "services"
	case c.Name == "check":
		return "'http tcp exec registry'"
	case c.Name == "completion":
		return "'bash zsh'"
	}
	return "''"
}
