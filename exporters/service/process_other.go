//go:build !linux

package service

import "context"

// processEnd gives what waits for the end of pid, by looking.
func processEnd(pid int) func(context.Context) {
	return func(ctx context.Context) { pollProcess(ctx, pid) }
}
