package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/exporters/service"
)

// heldContext gives the life of a command that holds: until TERM, INT or HUP, or until the process ends that it
// is there for: process, else the parent, if there is one to be seen. A second signal is not waited with.
func (c *call) heldContext(ctx context.Context, process *int) (context.Context, context.CancelFunc, error) {
	ctx, stop := endBySignal(ctx)
	pid := os.Getppid()
	if process != nil {
		pid = *process
	} else if pid == 0 { // the parent is outside of this PID namespace
		return ctx, stop, nil
	}
	ctx, cancel, err := service.WithProcess(ctx, pid)
	if err != nil {
		stop()
		if process != nil {
			err = c.Misuse("--pid: %v", err)
		}
		return nil, nil, err
	}
	return ctx, func() { cancel(); stop() }, nil
}

// startTime is when a command that holds has done at least once what it does from then on.
const startTime = 5 * time.Second

// openHeld opens the registry for a command that holds, until heldContext ends. end closes it.
func (c *call) openHeld(ctx context.Context, process *int) (held context.Context, r discovery.Registry, end func(), err error) {
	held, stop, err := c.heldContext(ctx, process)
	if err != nil {
		return nil, nil, nil, err
	}
	if r, err = c.open(held); err != nil {
		stop()
		return nil, nil, nil, err
	}
	releasing := time.AfterFunc(startTime, releasePages)
	return held, r, func() { releasing.Stop(); r.Close(); stop() }, nil
}

// oneRequest is how long the signals behind the first are the same request to end: timeout(1) sends its signal to
// its child and to the whole group, and a terminal's key reaches a script and what it started, which passes it on.
const oneRequest = time.Second

// endBySignal gives a context that the first signal ends; one that comes later than oneRequest ends the process. A
// signal that came in ignored (nohup) stays ignored.
func endBySignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, caught(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)...)
	context.AfterFunc(ctx, func() {
		time.Sleep(oneRequest)
		stop()
	})
	return ctx, stop
}

// caught are the signals that did not come in ignored.
func caught(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}
