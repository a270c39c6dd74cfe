package harness

import (
	"errors"

	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/text"

	"golang.org/x/sys/unix"
)

// Status is what a running harness says of itself, as envharness status prints it.
type Status = control.Status

// The phases of a harness under Init, in Status.
const (
	PhaseRunning = control.Running
	PhaseDrained = control.Drained
)

// The requests that a harness under Init understands.
const (
	RequestStatus = control.AskStatus
	RequestReady  = control.AskReady
	RequestDrain  = control.AskDrain
	RequestResume = control.AskResume
)

// askHint says what a socket that cannot be used tells of the harness.
func askHint(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "a harness has a socket with --init alone; one that could not make it there said so on stderr: give both the same --socket"
	case errors.Is(err, unix.ECONNREFUSED):
		return "the harness that made the socket has ended"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "ask as root or as the harness's own user"
	}
	return "name the harness's socket with --socket"
}

// Ask sends one request to the harness that listens on socket. The status is there after RequestStatus. An
// error with exit code 1 is a no; any other means that no harness could be asked.
func Ask(socket, request string) (status []byte, err error) {
	conversation, err := control.Dial(socket)
	if err != nil {
		return nil, &Error{
			Subject: socket,
			Problem: "no harness answers there: " + text.Reason(err),
			Next:    askHint(err),
			Err:     err,
		}
	}
	defer conversation.Close()
	answer, err := conversation.Ask(request)
	if err != nil {
		return nil, &Error{Subject: socket, Problem: err.Error(), Err: err}
	}
	if !answer.OK {
		return answer.Status, &Error{Subject: request, Problem: "no: " + answer.Problem, Code: 1}
	}
	return answer.Status, nil
}
