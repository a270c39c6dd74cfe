package service

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// processEnd gives what waits for the end of pid: by a pidfd, which stands for that very process and is
// readable once it has ended, else by looking.
func processEnd(pid int) func(context.Context) {
	poll := func(ctx context.Context) { pollProcess(ctx, pid) }
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // an old kernel, or seccomp
		return poll
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's poller takes it, and no thread waits
		unix.Close(fd)
		return poll
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return poll
	}
	return func(ctx context.Context) {
		defer file.Close()
		stop := context.AfterFunc(ctx, func() { file.Close() }) // ends raw.Read
		defer stop()
		if raw.Read(hasEnded) != nil && ctx.Err() == nil {
			pollProcess(ctx, pid)
		}
	}
}

// hasEnded asks a pidfd.
func hasEnded(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
