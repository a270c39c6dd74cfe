package harness

import (
	"strconv"
	"strings"
	"time"
)

// printable returns s with everything that could disturb a terminal or a picture (control and
// invalid bytes, marks that turn the direction of writing) as Go's escapes.
func printable(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// displayWidth is the number of columns s takes on a terminal, East Asian characters being two.
func displayWidth(s string) int {
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

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-displayWidth(s)))
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-displayWidth(s))) + s
}

// shorten cuts s to at most width columns, the last of them an ellipsis.
func shorten(s string, width int) string {
	if displayWidth(s) <= width {
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

// shortDuration returns d with the three or four digits that matter to a reader: 340µs, 12.3ms,
// 1.25s, 2m10s.
func shortDuration(d time.Duration) string {
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
