package main

import (
	"errors"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/internal/cli"
)

// The exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
	exitNothing = 3 // nothing found
)

// silent is an end that has been told of already, or needs no telling.
type silent struct{ code int }

func (silent) Error() string { return "" }

func isSilent(err error) bool {
	_, ok := err.(silent)
	return ok
}

// failure is an error with an exit code or a hint of its own.
type failure struct {
	err  error
	hint string
	code int // 0: that of err
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
func (f *failure) Hint() string  { return f.hint }

func exitCode(err error) int {
	var coded *failure
	if errors.As(err, &coded) && coded.code != 0 {
		return coded.code
	}
	var quiet silent
	switch {
	case errors.As(err, &quiet):
		return quiet.code
	case errors.As(err, new(*cli.UsageError)):
		return exitUsage
	case errors.Is(err, discovery.ErrInvalid), errors.Is(err, discovery.ErrUnknownEngine):
		return exitUsage
	case errors.Is(err, discovery.ErrNotFound), errors.Is(err, discovery.ErrNoInstance):
		return exitNothing
	}
	return exitFailure
}

// explain adds the next step to an error that has none.
func explain(err error) error {
	if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
		return err
	}
	return &failure{err: err, hint: hintFor(err)}
}

func hintFor(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "name the authority that signed it: ?ca=FILE in the registry's URL"
	case strings.HasPrefix(text, "check http:") && errors.Is(err, driver.ErrSpeaksTLS):
		return "write https://"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "the server speaks without TLS: write the URL's scheme without its last s"
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return "the server wants a client's certificate: ?cert=FILE&key=FILE in the registry's URL"
	case strings.Contains(text, "certificate is"), strings.Contains(text, "certificate has expired"), strings.Contains(text, "doesn't contain any IP SANs"):
		return "the certificate must be for the host in the URL; if it is for another name, add ?server-name=NAME"
	case errors.Is(err, discovery.ErrUnknownEngine):
		return "see them by: envdiscover engines"
	case discovery.Hint(err) != "":
		return discovery.Hint(err)
	case errors.Is(err, discovery.ErrDenied):
		return "give user and password by ?user-file=FILE in the registry's URL, or in ENVDISCOVER_USER and ENVDISCOVER_PASSWORD"
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether the registry runs there and can be reached from here; --wait 30s gives it time"
	case errors.Is(err, discovery.ErrUnsupported):
		return "see what each engine can do by: envdiscover engines"
	case errors.Is(err, discovery.ErrConflict):
		return "each instance needs an ID of its own: --id NAME"
	case errors.Is(err, discovery.ErrUnknownScheme):
		return "name one of its ports by --scheme"
	case errors.Is(err, discovery.ErrNoInstance):
		return "see all of them, in every state: envdiscover instances --all SERVICE; --wait 30s waits for one"
	case errors.Is(err, discovery.ErrNotFound):
		return "see what there is by: envdiscover ls; --wait 30s waits for it, --default VALUE does without"
	case strings.Contains(text, "unknown query key"), strings.Contains(text, "use registry"):
		return "see the form of URLs and their options by: envdiscover engines"
	}
	return ""
}
