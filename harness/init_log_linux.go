package harness

import (
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/terminal"
)

// stuckAfter is how long a line of the log waits for the reader of a full stderr.
const stuckAfter = 100 * time.Millisecond

// unhindered is a log that never keeps a signal from COMMAND. A line is dropped when nobody reads stderr (a log
// driver that hangs, a terminal held by Ctrl-S), and COMMAND's terminal takes it even under stty tostop.
type unhindered struct {
	slog.Handler
	stderr *os.File
}

func (u unhindered) Handle(ctx context.Context, r slog.Record) (err error) {
	fds := []unix.PollFd{{Fd: int32(u.stderr.Fd()), Events: unix.POLLOUT}}
	if unix.Poll(fds, int(stuckAfter.Milliseconds())); fds[0].Revents != 0 {
		terminal.InBackground(func() { err = u.Handler.Handle(ctx, r) })
	}
	return err
}
