package harness

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-multierror"

	"github.com/envharness/envharness/internal/failure"
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

// Error is one thing that went wrong, told to people. It never holds a value of a variable. Code 0 stands for
// ExitStartup.
type Error = failure.Error

// signalError says that a signal ended start-up before COMMAND was executed.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	return fmt.Sprintf("start-up was ended by %s", text.Signal(e.signal))
}

// ExitError is COMMAND's own exit code, under Init. Nothing is to be reported.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return "command exited with status " + strconv.Itoa(e.Code) }

// ExitCode is the exit code that the contract gives to the outcome of a run.
func ExitCode(err error) int {
	var (
		signal *signalError
		exit   *ExitError
		failed *Error
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &signal):
		return 128 + int(signal.signal)
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
