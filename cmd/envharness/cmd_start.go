package main

import (
	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// startCommand is envharness without a subcommand.
func startCommand(s *settings, signals *harness.Signals) cli.Command {
	return cli.Command{
		Arguments:  "[OPTION...] [--] COMMAND [ARG...]",
		Most:       -1,
		About:      "Learns the environment, announces the service, then becomes COMMAND.",
		Example:    "envharness -- my-server --port 80",
		Notes:      "Exit: COMMAND's; 125 failed; 126, 127 no COMMAND. Variables as ENVHARNESS_INIT.",
		Options:    s.table(),
		OptionsEnd: true,
		Run: func(c *cli.Call) error {
			options, err := s.begin(c)
			if err != nil {
				return err
			}
			if len(c.Args) == 0 {
				return &harness.Error{
					Problem: "no COMMAND to become",
					Next:    `name one: envharness -- my-server --port 80, or in a Dockerfile: ENTRYPOINT ["envharness","--"] and CMD ["my-server","--port","80"]`,
				}
			}
			if options.Init, err = s.readInit(c); err != nil {
				return err
			}
			return meant(c.Args[0], harness.New(options, signals).Run(c.Args))
		},
	}
}
