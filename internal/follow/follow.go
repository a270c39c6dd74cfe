// Package follow does something at each change of a service, and runs programs with its snapshots: what envdiscover
// watch and the director share.
package follow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
)

// stopPatience is how long a program may take to end at TERM, and how long a process that it left behind may keep
// its stdout open.
const stopPatience = 2 * time.Second

// Program is a command line that is run with a snapshot as JSON on its stdin, in a process group of its own.
type Program struct {
	Words          []string  // the program and its arguments
	Stdout, Stderr io.Writer // nil is /dev/null
}

// Run runs it once. When ctx ends, its group gets TERM, and KILL once it has exited or 2 s have passed; the error
// is then ctx's cause. What it leaves in the background when it exits by itself goes on.
func (p Program) Run(ctx context.Context, s discovery.Snapshot) error {
	input, err := json.Marshal(s)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.Words[0], p.Words[1:]...)
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	if err := cmd.Start(); err != nil {
		return err
	}
	err = cmd.Wait()
	if ctx.Err() != nil { // the number of a group that has members left is nobody else's
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and something in the background holds its stdout
		return nil
	}
	return err
}

// Step does something with a snapshot and reports whether it is done. What is not is done again with back-off; an
// error ends Each.
type Step func(context.Context, discovery.Snapshot) (done bool, err error)

// Each takes a step with each snapshot, one at a time: those that come meanwhile are not waited for, the newest
// counts. It returns when the snapshots end, which they do with ctx, or with a step's error.
func Each(ctx context.Context, snapshots <-chan discovery.Snapshot, step Step) error {
	var newest discovery.Snapshot
	var backoff discovery.Backoff
	again := time.NewTimer(0)
	again.Stop()
	for {
		select {
		case snapshot, ok := <-snapshots:
			if !ok {
				return nil
			}
			if snapshot.Stale {
				continue // nothing new is known
			}
			newest = snapshot
			backoff.Reset()
		case <-again.C:
		}
		done, err := step(ctx, newest)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case done:
			again.Stop()
		default:
			again.Reset(backoff.Next())
		}
	}
}
