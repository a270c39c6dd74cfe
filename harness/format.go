package harness

import (
	"io"

	"github.com/envharness/envharness/harness/internal/envfmt"
)

// Variable is one resolved name, as print and --write show it.
type Variable = envfmt.Variable

// Format names a way to write variables down, each with the reader that it is written for.
type Format = envfmt.Format

// FormatSh is export and unset, for dash and bash: what print writes unless it is told otherwise.
const FormatSh = envfmt.Sh

// ParseFormat returns the format of that name; the error of another name lists the known ones.
func ParseFormat(name string) (Format, error) { return envfmt.Parse(name) }

// WriteVariables writes vars to w in format f. The format's own reader gets every value back byte for byte. When
// there is a variable that the format cannot carry, nothing is written, and the error names each of them.
func WriteVariables(w io.Writer, f Format, vars []Variable, mask bool) error {
	return envfmt.Write(w, f, vars, mask)
}
