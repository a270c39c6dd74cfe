// Package text makes what programs print fit for people and their terminals.
package text

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Printable returns s with everything that could disturb a terminal or a picture (control and
// invalid bytes, marks that turn the direction of writing) as Go's escapes.
func Printable(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// OneLine returns s in one line and free of what a terminal would obey: U+FFFD stands for each control character,
// for those that break a line and for those that format text without being seen, which turn its direction (U+202E)
// or hide it. What is in order comes back as it is.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Width is the number of columns s takes on a terminal, East Asian characters being two.
func Width(s string) int {
	width := 0
	for _, r := range s {
		width += runeWidth(r)
	}
	return width
}

func runeWidth(r rune) int {
	if r >= 0x2e80 || 0x1100 <= r && r <= 0x115f {
		return 2
	}
	return 1
}

func PadRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-Width(s)))
}

func PadLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-Width(s))) + s
}

// Shorten cuts s to at most width columns, the last of them an ellipsis.
func Shorten(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		used += runeWidth(r)
		if used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// Duration returns d with the three or four digits that matter to a reader: 340µs, 12.3ms,
// 1.25s, 2m10s.
func Duration(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ShellQuote writes a word so that a shell reads it back.
func ShellQuote(word string) string {
	if word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !(r == '/' || r == '.' || r == '_' || r == '-' || r == '+' || r == ',' || r == ':' || r == '@' ||
			'0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
	}) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Reason is the bare cause of an error, without the operation and path that os puts before it.
func Reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// Signal is a signal as people write it: SIGTERM (15).
func Signal(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name + " (" + strconv.Itoa(int(sig)) + ")"
	}
	return "signal " + strconv.Itoa(int(sig))
}
