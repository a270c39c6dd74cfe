package main

import (
	"os"
	"strings"
	"time"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/sdnotify"
	"github.com/envharness/envharness/internal/text"
)

// barrierWait is how long a message may stay untaken, as with systemd-notify(1).
const barrierWait = 5 * time.Second

// notifyCommand is envharness notify: what systemd-notify(1) does, in images without it.
func notifyCommand() cli.Command {
	return cli.Command{
		Name:      "notify",
		Arguments: "NAME=VALUE...",
		Least:     1,
		Most:      -1,
		Summary:   "say READY=1 and the like on NOTIFY_SOCKET",
		About:     "Says it on NOTIFY_SOCKET, as systemd-notify(1) does: READY=1, VALID_USEC=60000000, STATUS=..., and waits until it was taken. A COMMAND under systemd needs NotifyAccess=all for it.",
		Example:   "envharness notify READY=1",
		Notes:     variables,
		Run: func(c *cli.Call) error {
			for _, word := range c.Args {
				if name, _, assigns := strings.Cut(word, "="); !assigns || name == "" || strings.Contains(word, "\n") {
					return c.Misuse("%q is no NAME=VALUE", word)
				}
			}
			return notify(strings.Join(c.Args, "\n"))
		},
	}
}

func notify(message string) error {
	address := os.Getenv(sdnotify.Variable)
	if address == "" {
		return &harness.Error{Subject: sdnotify.Variable, Problem: "is not set: nobody waits to be told", Next: "run it from an executable of the harness, from COMMAND with --ready notify, or in a unit with Type=notify", Code: 1}
	}
	if err := sdnotify.Notify(address, message, barrierWait); err != nil {
		return &harness.Error{Subject: sdnotify.Variable, Problem: "cannot tell: " + text.Reason(err), Next: "is the one who waits still there?", Code: 1, Err: err}
	}
	return nil
}
