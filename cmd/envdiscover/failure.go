package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/failure"
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

// failed gives an error an exit code or a hint of its own.
func failed(err error, code int, hint string) error {
	return &failure.Error{Problem: err.Error(), Next: hint, Code: code, Err: err}
}

func exitCode(err error) int {
	var quiet silent
	if errors.As(err, &quiet) {
		return quiet.code
	}
	var coded *failure.Error
	if errors.As(err, &coded) && coded.Code != 0 {
		return coded.Code
	}
	switch {
	case cli.IsMisuse(err), errors.Is(err, discovery.ErrInvalid), errors.Is(err, discovery.ErrUnknownEngine):
		return exitUsage
	case errors.Is(err, discovery.ErrNotFound), errors.Is(err, discovery.ErrNoInstance):
		return exitNothing
	}
	return exitFailure
}

// explain adds the next step to an error that has none.
func (p *program) explain(err error) error {
	hint := failure.Hint(err)
	if hint == "" {
		hint = p.hintFor(err)
	}
	away := errors.Is(err, discovery.ErrUnavailable) || errors.Is(err, discovery.ErrDenied)
	if away && p.current.Name != "check" && !strings.Contains(hint, checkRegistry) {
		hint = strings.TrimPrefix(hint+"; how far it goes tells: "+checkRegistry, "; ")
	}
	if hint == failure.Hint(err) {
		return err
	}
	return failed(err, 0, hint)
}

// checkRegistry is the command that looks at what is wrong with a registry.
const checkRegistry = "envdiscover check registry"

// hintFor tells what can be done by this program.
func (p *program) hintFor(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, discovery.ErrUnknownEngine):
		return "see them by: envdiscover engines"
	case errors.Is(err, discovery.ErrDenied):
		return "give user and password by ?user-file=FILE in the registry's URL, or in ENVDISCOVER_USER and ENVDISCOVER_PASSWORD"
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether the registry runs there and can be reached from here" + p.may("wait", "; --wait 30s gives it time")
	case errors.Is(err, discovery.ErrUnsupported):
		return "see what each engine can do by: envdiscover engines"
	case errors.Is(err, discovery.ErrConflict):
		return p.may("id", "each instance needs an ID of its own: --id NAME") +
			p.may("if-unchanged", "read it again by envdiscover get, and decide anew")
	case errors.Is(err, discovery.ErrUnknownScheme):
		return "name one of its ports by --scheme"
	case errors.Is(err, discovery.ErrNoInstance):
		return "see all of them, in every state: envdiscover instances --all SERVICE" +
			p.may("default", "; --wait 30s waits for one") + p.may("count", "; --timeout 5m waits longer")
	case errors.Is(err, discovery.ErrNotFound):
		return "see what there is by: envdiscover ls" + p.may("default", "; --wait 30s waits for it, --default VALUE does without")
	case strings.Contains(text, "unknown query key"), strings.Contains(text, "use registry"):
		return "see the form of URLs and their options by: envdiscover engines"
	case exitCode(err) == exitUsage && p.current.Run != nil:
		return "usage: " + p.current.Usage("envdiscover") + ", see envdiscover " + p.current.Name + " --help"
	}
	return ""
}

// may gives the words if the command that runs has the option.
func (p *program) may(option, words string) string {
	if slices.ContainsFunc(p.current.Options, func(o cli.Option) bool { return o.Name == option }) {
		return words
	}
	return ""
}
