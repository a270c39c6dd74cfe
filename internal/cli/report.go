package cli

import (
	"io"
	"log/slog"
	"strings"

	"github.com/envharness/envharness/internal/failure"
)

// Reporter tells people what failed: one line an error, under it one for the next step where there is one.
type Reporter struct {
	Program string
	W       io.Writer
	JSON    bool // as lines of JSON, hints in an attribute of their own
}

// Report tells one error, with the hint that it or one of its causes gives.
func (r Reporter) Report(err error) {
	hint := failure.Hint(err)
	if r.JSON {
		var attrs []any
		if hint != "" {
			attrs = append(attrs, "hint", hint)
		}
		slog.New(slog.NewJSONHandler(r.W, nil)).Error(err.Error(), attrs...)
		return
	}
	lines := r.Program + ": error: " + ErrorLine(err) + "\n"
	if hint != "" {
		lines += r.Program + ": hint: " + OneLine(hint) + "\n"
	}
	io.WriteString(r.W, lines)
}

// ErrorLine is an error in one line: what errors.Join put below each other stands behind each other.
func ErrorLine(err error) string { return OneLine(strings.ReplaceAll(err.Error(), "\n", "; ")) }
