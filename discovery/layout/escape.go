package layout

import (
	"fmt"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// Escape writes any text as one segment of a key: all but [A-Za-z0-9._-], and a leading dot, as %XX.
func Escape(name string) string {
	if isPlain(name) {
		return name
	}
	var b strings.Builder
	for i, c := range []byte(name) {
		if plain(c) && (c != '.' || i > 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// Unescape reads what Escape wrote, and nothing else, so that a name has one key only.
func Unescape(segment string) (string, error) {
	if isPlain(segment) {
		return segment, nil
	}
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		if segment[i] != '%' {
			b.WriteByte(segment[i])
			continue
		}
		if i+2 >= len(segment) {
			return "", discovery.Invalidf("%q ends within an escape", segment)
		}
		high, low := unhex(segment[i+1]), unhex(segment[i+2])
		if high < 0 || low < 0 {
			return "", discovery.Invalidf("%q has a wrong escape", segment)
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	if name := b.String(); name != "" && Escape(name) == segment {
		return name, nil
	}
	return "", discovery.Invalidf("%q is not how a name is written", segment)
}

// isPlain reports whether Escape leaves a name, which is not empty, as it is.
func isPlain(name string) bool {
	for i := range len(name) {
		if !plain(name[i]) {
			return false
		}
	}
	return name != "" && name[0] != '.'
}

// escape is Escape for the keys of one engine.
func (k Keys) escape(name string) string {
	segment := Escape(name)
	if inner, found := strings.CutPrefix(segment, "_"); found && k.hides {
		return hidden + inner
	}
	return segment
}

// unescape reads what escape wrote, and nothing else.
func (k Keys) unescape(segment string) (string, error) {
	if k.hides && strings.HasPrefix(segment, "_") {
		return "", discovery.Invalidf("%q is not how a name is written", segment)
	}
	if inner, found := strings.CutPrefix(segment, hidden); found && k.hides {
		segment = "_" + inner
	}
	return Unescape(segment)
}

// hidden is a leading _ where that hides a key.
const hidden = "%5F"

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
