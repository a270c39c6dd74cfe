package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
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
	Next   string // what to do about it, for people; may be empty
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

// Hint is what to do about it, for people, or empty.
func (e *Error) Hint() string { return cmp.Or(tlsHint(e.Error()), e.Next) }

// Hint gives the next step that an error or one of its causes knows of, or "".
func Hint(err error) string {
	var hinted interface {
		error
		Hint() string
	}
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// tlsHint tells what in a registry's URL is not as the server wants it. The clients of most engines give the texts
// of TLS errors alone.
func tlsHint(text string) string {
	switch {
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "name the authority that signed it: ?ca=FILE in the registry's URL"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "the server speaks without TLS: write the URL's scheme without its last s"
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return "the server wants a client's certificate: ?cert=FILE&key=FILE in the registry's URL"
	case strings.Contains(text, "certificate is"), strings.Contains(text, "certificate has expired"), strings.Contains(text, "doesn't contain any IP SANs"):
		return "the certificate must be for the host in the URL; if it is for another name, add ?server-name=NAME"
	}
	return ""
}
