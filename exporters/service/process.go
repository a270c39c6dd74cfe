package service

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lookEvery is how often a process is looked for where the kernel does not tell of its end.
const lookEvery = 500 * time.Millisecond

// WithProcess gives a context that ends with the process pid, or with ctx. The error tells that there is no such
// process. The caller ends the watching by the function.
func WithProcess(ctx context.Context, pid int) (context.Context, context.CancelFunc, error) {
	if err := syscall.Kill(pid, 0); pid <= 0 || err == syscall.ESRCH {
		return nil, nil, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	life, cancel := context.WithCancel(ctx)
	wait := processEnd(pid)
	go func() {
		defer cancel()
		wait(life)
	}()
	return life, cancel, nil
}

// pollProcess returns when pid has ended, or ctx. Its own parent is known by getppid(2), which no reuse of the
// number deceives.
func pollProcess(ctx context.Context, pid int) {
	isParent := os.Getppid() == pid
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if isParent && os.Getppid() != pid || syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
	}
}
