package harness

import (
	"errors"
	"os/signal"
	"syscall"
)

// What the harness does on Linux alone.

func (h *Harness) supervise([]string) error {
	return &Error{Subject: "--init", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
}

func cameIgnored(sig syscall.Signal) bool { return signal.Ignored(sig) }

func takePending() {}

func (s *startup) signalBeforeExec() syscall.Signal { return s.children.StoppedBy() }
