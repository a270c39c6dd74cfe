// Package timeline draws a start-up as bars, as text and as an SVG picture.
package timeline

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/envharness/envharness/internal/text"
)

// What became of a span. A timeline shows any other word as a failure.
const (
	OK       = "ok"
	Failed   = "failed" // a bad exit status or a signal: another try may succeed
	TimedOut = "timed out"
	Refused  = "refused" // it gave what no variable can hold: another try would give the same
	Stopped  = "stopped" // a signal ended start-up
	Cached   = "cached"  // it failed, and its last known good value was taken
	Masked   = "masked"  // not run: a link to /dev/null stands in its place
	Skipped  = "skipped" // not run for another reason
)

// Span is one executable's part in start-up. Start and End are offsets from the harness's start; an
// executable that was tried again has one span from its first try to the end of its last.
type Span struct {
	Phase      string // "env-file", "export" or "environment"
	Name, Path string
	Start, End time.Duration
	Tries      int    // 0 when nothing was run
	Outcome    string // one of the Outcome constants, or another word for a failure
	Held       bool   // it became ready at End and runs on
	Variables  int    // how many a set gave
}

// Timeline is one start-up, drawn as systemd-analyze draws a machine's. It shows names, paths and
// times, never a value.
type Timeline struct {
	Total   time.Duration // from the harness's start to COMMAND's, or to the failure
	Spans   []Span
	Command string // COMMAND without its arguments, which may hold secrets; "" when there is none
}

// WriteText draws t in width columns (80 when it is 0 or less; never fewer than the names, times and
// a bar of ten columns need): a heading for each phase, and for each span its name, a bar, the time
// it took, and what else is worth knowing.
//
// Of more than 1000 spans those are drawn that failed, then the longest, and the title says so.
func (t Timeline) WriteText(w io.Writer, width int) error {
	if width <= 0 {
		width = 80
	}
	rows := t.rows()
	columns := columnsOf(rows, max(12, width/3))
	const gaps = 2 + 2 + 1 + 2 // before the name, the bar, the time and the note
	bar := max(10, width-gaps-columns.name-columns.took-columns.note)

	var out bytes.Buffer
	fmt.Fprintln(&out, t.title())
	fmt.Fprintf(&out, "  %s  %s\n", text.PadRight("", columns.name), textAxis(t.length(), bar))
	phase, length := "", t.length()
	for _, row := range rows {
		if row.Phase != phase {
			phase = row.Phase
			fmt.Fprintln(&out, text.Printable(phase))
		}
		line := fmt.Sprintf("  %s  %s %s  %s", text.PadRight(row.name, columns.name), textBar(row.Span, length, bar),
			text.PadLeft(row.took, columns.took), row.note)
		fmt.Fprintln(&out, strings.TrimRight(line, " "))
	}
	_, err := w.Write(out.Bytes())
	return err
}

func (t Timeline) title() string {
	title := "start-up"
	if t.Command != "" {
		title += " of " + text.Shorten(text.Printable(t.Command), 40)
	}
	title += " took " + text.Duration(t.Total)
	if len(t.Spans) > mostRows {
		title += fmt.Sprintf(" (%d of %d shown: what failed, then the longest)", mostRows, len(t.Spans))
	}
	return title
}

// length is the time that the whole width stands for: never nothing, so that it can be divided by.
func (t Timeline) length() time.Duration {
	length := max(t.Total, time.Millisecond)
	for _, span := range t.Spans {
		length = max(length, span.Start, span.End)
	}
	return length
}

// timelineRow is a span with its texts, made fit to be shown.
type timelineRow struct {
	Span
	name, took, note string
}

// mostRows is how many spans are drawn: more is nothing that anybody looks at.
const mostRows = 1000

// rows returns the spans that are drawn, in the order in which they began.
func (t Timeline) rows() []timelineRow {
	spans := make([]Span, len(t.Spans))
	for i, span := range t.Spans {
		span.Start = max(span.Start, 0)
		span.End = max(span.End, span.Start)
		spans[i] = span
	}
	if len(spans) > mostRows {
		sort.SliceStable(spans, func(i, j int) bool {
			a, b := spans[i], spans[j]
			return cmp.Or(cmp.Compare(b.kind(), a.kind()), cmp.Compare(b.End-b.Start, a.End-a.Start)) < 0
		})
		spans = spans[:mostRows]
	}
	sort.SliceStable(spans, func(i, j int) bool { return spans[i].Start < spans[j].Start })
	rows := make([]timelineRow, len(spans))
	for i, span := range spans {
		rows[i] = timelineRow{Span: span, name: text.Printable(span.Name), took: span.took(), note: span.note()}
	}
	return rows
}

func (s Span) took() string {
	if s.kind() == kindSkipped {
		return "-"
	}
	return text.Duration(s.End - s.Start)
}

// note is what sets a span apart from one that simply went well.
func (s Span) note() string {
	var notes []string
	if s.Outcome != OK && s.Outcome != "" {
		notes = append(notes, text.Shorten(text.Printable(s.Outcome), 24))
	}
	if s.Tries > 1 {
		notes = append(notes, fmt.Sprintf("%d tries", s.Tries))
	}
	if s.Variables == 1 {
		notes = append(notes, "1 variable")
	} else if s.Variables > 1 {
		notes = append(notes, fmt.Sprintf("%d variables", s.Variables))
	}
	if s.Held {
		notes = append(notes, "held")
	}
	return strings.Join(notes, ", ")
}

// rowColumns are the widths, in characters, that the texts of all rows need.
type rowColumns struct{ name, took, note int }

// columnsOf measures rows and cuts names to longest characters.
func columnsOf(rows []timelineRow, longest int) rowColumns {
	var columns rowColumns
	for i := range rows {
		row := &rows[i]
		row.name = text.Shorten(row.name, longest)
		columns.name = max(columns.name, text.Width(row.name))
		columns.took = max(columns.took, text.Width(row.took))
		columns.note = max(columns.note, text.Width(row.note))
	}
	return columns
}

// textAxis labels bar columns with times, each at the column where its time is.
func textAxis(length time.Duration, bar int) string {
	axis := ""
	for _, tick := range ticks(length, min(10, max(1, bar/12))) {
		column := int(math.Round(place(tick, length, float64(bar))))
		label := "│" + text.Duration(tick)
		if column+text.Width(label) <= bar {
			axis = text.PadRight(axis, column) + label
		}
	}
	return axis
}

// textBar draws a span into bar columns: eighths of a block for one that went well, shade for
// another, and a line on to the end for what is held.
func textBar(span Span, length time.Duration, bar int) string {
	first := min(int(place(span.Start, length, float64(bar))), bar-1)
	eighths := max(1, int(math.Round(place(span.End, length, float64(bar))*8))-first*8)
	var blocks string
	switch span.kind() {
	case kindOK:
		blocks = strings.Repeat("█", eighths/8) + strings.TrimSpace(string([]rune(" ▏▎▍▌▋▊▉")[eighths%8]))
	case kindSkipped:
		blocks = strings.Repeat("┄", (eighths+7)/8)
	default:
		blocks = strings.Repeat("▒", (eighths+7)/8)
	}
	drawn := strings.Repeat(" ", first) + blocks
	if span.Held {
		drawn += strings.Repeat("─", bar-text.Width(drawn))
	}
	return text.PadRight(drawn, bar)
}

// spanKind is how a span is drawn; a higher one matters more to a reader.
type spanKind int

const (
	kindOK spanKind = iota
	kindCached
	kindSkipped
	kindFailed
)

func (s Span) kind() spanKind {
	switch s.Outcome {
	case OK, "":
		return kindOK
	case Cached:
		return kindCached
	case Masked, Skipped:
		return kindSkipped
	}
	return kindFailed
}

// place maps a time within length to a place within width.
func place(at, length time.Duration, width float64) float64 {
	return float64(at) / float64(length) * width
}

// ticks returns the round times from 0 to length, at most n of them after 0.
func ticks(length time.Duration, n int) []time.Duration {
	step := tickStep(length, n)
	times := make([]time.Duration, length/step+1)
	for i := range times {
		times[i] = time.Duration(i) * step
	}
	return times
}

// tickStep returns the finest round step that length holds at most n of: 1, 2 or 5 times a power
// of ten below 10 s, then what clocks and calendars show.
func tickStep(length time.Duration, n int) time.Duration {
	fits := func(step time.Duration) bool { return length/step <= time.Duration(n) }
	for unit := time.Microsecond; unit <= time.Second; unit *= 10 {
		for _, step := range [...]time.Duration{unit, 2 * unit, 5 * unit} {
			if fits(step) {
				return step
			}
		}
	}
	for _, step := range [...]time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if fits(step) {
			return step
		}
	}
	day := 24 * time.Hour
	for !fits(day) {
		day *= 2
	}
	return day
}
