package harness

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-multierror"

	"github.com/envharness/envharness/internal/text"
)

// The exit codes of the harness itself, as env(1), nohup(1) and docker run use them.
const (
	// ExitStartup: start-up failed, by a bad option, a failed executable, a refused value, a missing requirement.
	ExitStartup = 125
	// ExitCannotExecute: COMMAND was found and cannot be executed.
	ExitCannotExecute = 126
	// ExitNotFound: COMMAND was not found.
	ExitNotFound = 127
)

// Error is one thing that went wrong, told to people. It never holds a value of a variable.
type Error struct {
	// Subject is what it happened to: a path, an option, a variable, a command.
	Subject string
	// Problem is what happened, with the reason.
	Problem string
	// Next is the step that mends it, or empty.
	Next string
	// Code is the exit code that goes with it; 0 stands for ExitStartup.
	Code int
	// Err is the cause for errors.Is, or nil; its text is already part of Problem.
	Err error

	outcome string // of an executable that ran, in the words of a timeline
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

// SignalError says that a signal ended start-up before COMMAND was executed.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string {
	return fmt.Sprintf("start-up was ended by %s", text.Signal(e.Signal))
}

// ExitError is COMMAND's own exit code, under Init. Nothing is to be reported.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return "command exited with status " + strconv.Itoa(e.Code) }

// ExitCode is the exit code that the contract gives to the outcome of a run.
func ExitCode(err error) int {
	var (
		signal *SignalError
		exit   *ExitError
		failed *Error
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &signal):
		return 128 + int(signal.Signal)
	case errors.As(err, &failed) && failed.Code != 0:
		return failed.Code
	default:
		return ExitStartup
	}
}

// Each calls f with every single error gathered in err.
func Each(err error, f func(error)) {
	var gathered *multierror.Error
	switch {
	case err == nil:
	case errors.As(err, &gathered):
		for _, one := range gathered.Errors {
			Each(one, f)
		}
	default:
		f(err)
	}
}
