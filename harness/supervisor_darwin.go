package harness

import "errors"

func (h *Harness) supervise([]string) error {
	return &Error{Subject: "--init", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
}
