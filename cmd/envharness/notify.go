package main

import (
	"os"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/sdnotify"
	"github.com/envharness/envharness/internal/text"
)

// barrierWait is how long a message may stay untaken, as with systemd-notify(1).
const barrierWait = 5 * time.Second

// notifyCommand is envharness notify: what systemd-notify(1) does, in images without it.
func notifyCommand() subcommand {
	return subcommand{
		usage:   "envharness notify READY=1 [NAME=VALUE...]",
		summary: "say so on NOTIFY_SOCKET",
		about:   "Says it on NOTIFY_SOCKET, as systemd-notify(1) does: READY=1, VALID_USEC=60000000, STATUS=..., and waits until it was taken. A COMMAND under systemd needs NotifyAccess=all for it.",
		options: []topic{reporting},
		run: func(c *urfave.Context, _ harness.Options) error {
			for _, word := range c.Args().Slice() {
				if name, _, assigns := strings.Cut(word, "="); !assigns || name == "" || strings.Contains(word, "\n") {
					return usageError(c, "%q is no NAME=VALUE", word)
				}
			}
			if c.NArg() == 0 {
				return usageError(c, "nothing to say")
			}
			address := os.Getenv(sdnotify.Variable)
			if address == "" {
				return &harness.Error{Subject: sdnotify.Variable, Problem: "is not set: nobody waits to be told", Next: "run it from an executable of the harness, from COMMAND with --ready notify, or in a unit with Type=notify", Code: 1}
			}
			if err := sdnotify.Notify(address, strings.Join(c.Args().Slice(), "\n"), barrierWait); err != nil {
				return &harness.Error{Subject: sdnotify.Variable, Problem: "cannot tell: " + text.Reason(err), Next: "is the one who waits still there?", Code: 1, Err: err}
			}
			return nil
		},
	}
}
