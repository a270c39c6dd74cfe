package discovery

import (
	"errors"
	"fmt"
)

// What can go wrong, for errors.Is.
var (
	ErrNotFound          = errors.New("not found")
	ErrNoInstance        = errors.New("no instance")
	ErrNoInstanceOnShard = errors.New("no instance on this shard") // also matches ErrNoInstance
	ErrUnknownScheme     = errors.New("no such port")
	ErrUnknownEngine     = errors.New("unknown engine")
	ErrConflict          = errors.New("taken by another")
	ErrDenied            = errors.New("access denied") // not retried
	ErrUnavailable       = errors.New("registry unavailable")
	ErrInvalid           = errors.New("invalid")
	ErrUnsupported       = errors.New("not supported by this engine")
)

// Error says what could not be done, on what, at which engine and why. Every error of a [Registry]
// and what it opens is one; errors.Is finds the errors above in it.
type Error struct {
	Op     string // what was tried, as it reads after "cannot": "register", "read value"
	Name   string // service or value, if it was about one
	Engine string // the engine's URL without passwords, if one was asked
	Err    error
	Hint   string // what to do about it, for people; may be empty
}

func (e *Error) Error() string {
	text := "cannot " + e.Op
	if e.Name != "" {
		text += fmt.Sprintf(" %q", e.Name)
	}
	if e.Engine != "" {
		text += " at " + e.Engine
	}
	return text + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint gives the next step that an error of this package knows of, or "".
func Hint(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
