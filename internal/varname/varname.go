// Package varname says what a name that is no variable's means.
package varname

import (
	"strings"

	"github.com/envharness/envharness/internal/envfmt"
)

// Policy is the rule for a name that is not [A-Za-z_][A-Za-z0-9_]*.
type Policy string

// The policies: such a name is an error, it is skipped, or a variable's name is made of it.
const (
	Strict Policy = "strict"
	Skip   Policy = "skip"
	Upper  Policy = "upper"
)

// Of is the variable that name means, and whether it means one. Under Upper every name means one, be it possible or
// not: letters become capitals.
func (p Policy) Of(name string) (variable string, ok bool) {
	if p == Upper {
		return toUpper(name), name != ""
	}
	return name, envfmt.IsName(name)
}

// toUpper makes letters capitals, everything else that a name cannot have _, and puts _ before a leading digit. What
// is more than one byte is one character, and so is each byte of what is not UTF-8.
func toUpper(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		case 'A' <= r && r <= 'Z', r == '_':
		case '0' <= r && r <= '9':
			if i == 0 {
				b.WriteByte('_')
			}
		default:
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}
