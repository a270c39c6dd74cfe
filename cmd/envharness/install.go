package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
)

// installCommand is envharness install: for init containers beside an image that has no harness.
func installCommand() subcommand {
	return subcommand{
		usage:   "envharness install DEST",
		summary: "copy itself to DEST",
		about:   "Copies this very program to DEST, a directory or a file, executable for everybody: an init container brings it so into a volume beside an image that is not yours.",
		options: []topic{reporting},
		run: func(c *urfave.Context, _ harness.Options) error {
			if c.NArg() != 1 || c.Args().First() == "" {
				return usageError(c, "one DEST is needed, a directory or a file")
			}
			return harness.Install(c.Args().First())
		},
	}
}
