package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
)

// execCommand is envharness exec: what docker exec and kubectl exec run in a container that runs already.
func execCommand(signals *harness.Signals) subcommand {
	return subcommand{
		usage:   "envharness exec [OPTION...] [--] COMMAND [ARG...]",
		summary: "the same, no /export",
		about:   "Resolves and becomes COMMAND in a container that runs already: docker exec shop envharness exec -- console. It announces nothing, withdraws nothing and opens no socket, whatever the container's ENVHARNESS_INIT says.",
		options: []topic{directories, entries, running, failures, values, commandOptions, timelines, reporting},
		run: func(c *urfave.Context, options harness.Options) error {
			if c.NArg() == 0 {
				return usageError(c, "no COMMAND to become")
			}
			options.Export, options.ExportLast = nil, false
			return harness.New(options, signals).Run(c.Args().Slice())
		},
	}
}
