package harness

import (
	"syscall"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
)

// receive takes a signal as it arrives. Until COMMAND exists, one that would stop it ends start-up, and every
// other waits for it.
func (v *supervisor) receive(sig syscall.Signal, ps *child.Children) {
	v.mu.Lock() // COMMAND is started under it, so that it is either stopped or never started
	defer v.mu.Unlock()
	if !v.started && v.Init.stops(sig) {
		ps.Stop(sig)
		return
	}
	select {
	case v.signals <- sig:
	default: // so many are waiting that this one is among them
	}
}

// onSignal forwards a signal, or begins a stop.
func (v *supervisor) onSignal(sig syscall.Signal) {
	mapped := v.Init.mapped(sig)
	switch {
	case mapped == 0:
	case v.Init.stops(sig) && !v.stopping:
		v.beginStop(mapped)
	case v.Init.stops(sig): // somebody insists: COMMAND gets it now, and not again after the withdrawal
		v.signalled = true
		v.forward(mapped)
	default:
		v.forward(mapped)
	}
}

func (v *supervisor) forward(sig syscall.Signal) {
	if v.Init.Group {
		v.child.Signal(sig)
	} else {
		v.child.SignalOne(sig)
	}
}

// beginStop withdraws; COMMAND gets the signal when that is done. A slow withdrawal leaves COMMAND the last
// quarter of the grace.
func (v *supervisor) beginStop(sig syscall.Signal) {
	v.mu.Lock()
	v.stopping = true
	v.mu.Unlock()
	v.stopSignal = sig
	v.armKill()
	v.signalTimer.Reset(v.Init.Grace * 3 / 4)
}

// signalStop gives COMMAND the signal of the stop, once.
func (v *supervisor) signalStop() {
	if !v.signalled && !v.over {
		v.signalled = true
		v.forward(v.stopSignal)
	}
}

// armKill begins the grace.
func (v *supervisor) armKill() {
	v.graceEnds = time.Now().Add(v.Init.Grace)
	v.killTimer.Reset(v.Init.Grace)
}

// kill ends a COMMAND that has had its time, with its group, and a withdrawal that has not ended.
func (v *supervisor) kill() {
	if !v.restarting || v.stopping {
		v.announcer.abandon()
	}
	if !v.over {
		v.child.Signal(syscall.SIGKILL)
	}
}

// onExit is COMMAND's end, or the middle of its restart.
func (v *supervisor) onExit(status syscall.WaitStatus) {
	v.endProbes()
	if v.restarting && !v.stopping {
		err := v.startAgain()
		if err == nil {
			return
		}
		Each(err, func(one error) { v.Log.Error("the command could not be started again", "problem", one.Error()) })
		status = syscall.WaitStatus(ExitCode(err) << 8)
	}
	if v.inFront() {
		giveTerminal(syscall.Getpgrp()) // whoever started the harness goes on there
	}
	v.mu.Lock()
	v.over, v.exitStatus = true, status
	v.mu.Unlock()
	if !v.stopping {
		v.armKill()
	}
}

// startAgain starts COMMAND with the current environment.
func (v *supervisor) startAgain() error {
	v.restarting = false
	v.killTimer.Stop()
	written := v.write()
	v.hearOut()
	err := v.startCommand()
	if !written {
		v.told = nil // it is to be told when the file is there
	}
	return err
}

// followSuspension lets the harness stop and go on together with COMMAND.
func (v *supervisor) followSuspension() {
	v.mu.Lock()
	s := v.suspender
	v.mu.Unlock()
	s.suspend()
}

// leftAfterExit is how long what COMMAND has left behind may take to end when COMMAND exits by itself.
const leftAfterExit = time.Second

// end ends what is left, gently: in a stop within what remains of the grace. It gives COMMAND's exit code.
func (v *supervisor) end() error {
	until := v.graceEnds
	if soon := time.Now().Add(leftAfterExit); !v.stopping && soon.Before(until) {
		until = soon
	}
	for _, k := range v.discoverers {
		k.end()
	}
	v.base.children.EndRest(until)
	return &ExitError{Code: v.Init.exitCode(v.exitStatus)}
}
