package account

import (
	"errors"

	"github.com/envharness/envharness/internal/failure"
)

// Run calls f. To run as somebody else works on Linux alone.
func (u *Account) Run(f func() error) error {
	if u != nil {
		return &failure.Error{Subject: "--user", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
	}
	return f()
}
