package main

import (
	"context"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

func completionCommand() command {
	return command{
		name:      "completion",
		arguments: "bash|zsh",
		least:     1,
		most:      1,
		summary:   "complete commands: eval \"$(envdiscover completion bash)\"",
		flags:     func() []urfave.Flag { return nil },
		run:       completion,
	}
}

func completion(_ context.Context, c *call) error {
	var text string
	switch shell := c.Args().First(); shell {
	case "bash":
		text = bashCompletion()
	case "zsh":
		text = "autoload -Uz bashcompinit && bashcompinit\n" + bashCompletion()
	default:
		return c.misuse("completions are for bash and zsh, not for %q", shell)
	}
	_, err := c.stdout.Write([]byte(text))
	return err
}

// bashCompletion completes commands, their options, and names, which it asks the registry for.
func bashCompletion() string {
	var names, cases strings.Builder
	for _, c := range commands() {
		names.WriteString(" " + c.name)
		fmt.Fprintf(&cases, "\t%s) options='%s' words=%s ;;\n", c.name, optionsOf(c), completedBy(c))
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

func optionsOf(c command) string {
	var options []string
	for _, f := range append(c.flags(), commonFlags()...) {
		options = append(options, "--"+f.Names()[0])
	}
	return strings.Join(options, " ")
}

// completedBy tells what a command's first argument is.
func completedBy(c command) string {
	switch {
	case strings.HasPrefix(c.arguments, "NAME"):
		return "values"
	case strings.HasPrefix(c.arguments, "SERVICE"):
		return "services"
	case c.name == "check":
		return "'http tcp exec'"
	case c.name == "completion":
		return "'bash zsh'"
	}
	return "''"
}
