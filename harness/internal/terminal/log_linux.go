package terminal

import (
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// unreadFor is how long a line of the log waits for the reader of a full stderr.
const unreadFor = 100 * time.Millisecond

// Log never keeps a signal from COMMAND. A line is dropped when nobody reads stderr (a log
// driver that hangs, a terminal held by Ctrl-S), and COMMAND's terminal takes it even under stty tostop.
type Log struct {
	slog.Handler
	Stderr *os.File
}

// Handle writes a line, or drops it.
func (l Log) Handle(ctx context.Context, r slog.Record) (err error) {
	fds := []unix.PollFd{{Fd: int32(l.Stderr.Fd()), Events: unix.POLLOUT}}
	if unix.Poll(fds, int(unreadFor.Milliseconds())); fds[0].Revents != 0 {
		InBackground(func() { err = l.Handler.Handle(ctx, r) })
	}
	return err
}
