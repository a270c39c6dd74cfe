package harness

import (
	"errors"
	"syscall"
)

// What the harness does on Linux alone.

func (h *Harness) supervise([]string) error {
	return &Error{Subject: "--init", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
}

func (s *startup) asUser(f func() error) error {
	if s.user != nil {
		return &Error{Subject: "--user", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
	}
	return f()
}

func resetIgnored() {}

func (s *startup) signalBeforeExec() syscall.Signal { return s.children.StoppedBy() }
