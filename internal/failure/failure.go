// Package failure is one thing that went wrong, told to people: what it happened to, what happened, and what to do next.
package failure

import (
	"fmt"
	"slices"

	"github.com/envharness/envharness/internal/text"
)

// Error is one failure. It never holds a secret.
type Error struct {
	Subject string // what it happened to: a path, an option, a variable, a command; empty when the problem says it
	Problem string // what happened, with the reason
	Next    string // the step that mends it, or empty
	Code    int    // the exit code that goes with it, 0 for the program's usual one
	Kind    string // a word by which the program groups its failures, or empty
	Err     error  // the cause for errors.Is, or nil; its text is already part of Problem
}

// KindUsage is the Kind of what the command line, or who configures the program otherwise, cannot mean.
const KindUsage = "usage"

// Misuse is a failure of that kind, with what to write instead.
func Misuse(next, format string, args ...any) *Error {
	return &Error{Problem: fmt.Sprintf(format, args...), Next: next, Kind: KindUsage}
}

func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Problem
	}
	return text.Printable(e.Subject) + ": " + e.Problem
}

// Hint is the next step for the reader, or empty.
func (e *Error) Hint() string { return e.Next }

func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step that err or one of its causes tells, or empty.
func Hint(err error) (hint string) {
	Find(err, func(one error) bool {
		if h, ok := one.(interface{ Hint() string }); ok {
			hint = h.Hint()
		}
		return hint != ""
	})
	return hint
}

// Find tells whether err or one of its causes, from the outermost on, is as is says.
func Find(err error, is func(error) bool) bool {
	if err == nil || is(err) {
		return err != nil
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return Find(wrapper.Unwrap(), is)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapper.Unwrap(), func(cause error) bool { return Find(cause, is) })
	}
	return false
}
