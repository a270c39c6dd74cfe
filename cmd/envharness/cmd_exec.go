package main

import (
	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// execCommand is envharness exec: what docker exec and kubectl exec run in a container that runs already.
func execCommand(s *settings, signals *harness.Signals) cli.Command {
	return cli.Command{
		Name:       "exec",
		Arguments:  "[OPTION...] [--] COMMAND [ARG...]",
		Most:       -1,
		Summary:    "become COMMAND, without /export",
		About:      "Resolves and becomes COMMAND in a container that runs already. It announces nothing, withdraws nothing and opens no socket, whatever the container's ENVHARNESS_INIT says.",
		Example:    "docker exec shop envharness exec -- console",
		Notes:      variables,
		Options:    s.options(directories, entries, running, failures, values, commandOptions, timelines),
		OptionsEnd: true,
		Run: func(c *cli.Call) error {
			if len(c.Args) == 0 {
				return c.Misuse("no COMMAND to become")
			}
			options, err := s.begin(c)
			if err != nil {
				return err
			}
			options.Init, options.Export, options.ExportLast = harness.DefaultInitOptions(), nil, false
			return harness.New(options, signals).Run(c.Args)
		},
	}
}
