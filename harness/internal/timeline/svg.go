package timeline

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/envharness/envharness/internal/text"
)

// The picture's measures, in pixels. Texts are monospaced, so that their widths are known.
const (
	svgMargin    = 24.0
	svgPlot      = 640.0 // from time 0 to the end of start-up
	svgGap       = 14.0  // between names, bars, times and notes
	svgRow       = 22.0
	svgBar       = 12.0
	svgCharacter = 7.3 // advance of one character of 12 pixels
	svgLegendTop = 66.0
	svgAxisTop   = 104.0
	svgLongest   = 40 // characters of a name; the whole name is in the row's tooltip
	svgHeadroom  = 6.0
	svgThinnest  = 2.0 // a bar that is still seen
	svgDashed    = 6.0 // the same for one that is an outline
)

// svgStyle colours by class, for light and dark surroundings.
const svgStyle = `
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #24292f }
    .title { font-size: 16px; font-weight: 600 }
    .heading { font-weight: 600 }
    .quiet { fill: #656d76 }
    .end { text-anchor: end }
    .middle { text-anchor: middle }
    .ground { fill: #ffffff }
    .band { fill: #f3f5f8 }
    .grid { stroke: #d8dee4; stroke-width: 1; shape-rendering: crispEdges }
    .env-file { fill: #8250df }
    .export { fill: #1a9c83 }
    .environment { fill: #3572d6 }
    .cached { fill: #d29922 }
    .failed { fill: #d1333f }
    .skipped { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
    .alarm { fill: #c0222e; font-weight: 600 }
    .held { stroke: #8c959f; stroke-width: 2; stroke-dasharray: 5 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .quiet { fill: #9198a1 }
      .ground { fill: #0d1117 }
      .band { fill: #161b22 }
      .grid { stroke: #30363d }
      .env-file { fill: #a475f9 }
      .export { fill: #2bb89c }
      .environment { fill: #5290f0 }
      .cached { fill: #e3b341 }
      .failed { fill: #f0525c }
      .alarm { fill: #ff7b72 }
    }
`

// WriteSVG draws t as one picture that needs nothing beside it: a bar for each span, coloured by its
// phase or by what went wrong, over a grid of times. Its height grows with the spans, up to as many as WriteText draws.
func (t Timeline) WriteSVG(w io.Writer) error {
	rows := t.rows()
	columns := columnsOf(rows, svgLongest)
	picture := svgPicture{
		length: t.length(),
		plot:   svgMargin + textWidth(columns.name) + 2*svgGap,
	}
	picture.took = picture.plot + svgPlot + svgGap + textWidth(columns.took)
	picture.right = picture.took + svgMargin
	if columns.note > 0 {
		picture.right += svgGap + textWidth(columns.note)
	}
	picture.bottom = svgAxisTop + svgHeadroom + svgRow*float64(len(rows)+len(phaseRuns(rows)))
	picture.draw(t, rows)
	_, err := w.Write(picture.text.Bytes())
	return err
}

// svgPicture is a picture as it is written, and the places that its parts agree on.
type svgPicture struct {
	text   bytes.Buffer
	length time.Duration
	plot   float64 // where time 0 is
	took   float64 // where times end, aligned to the right
	right  float64 // the picture's width
	bottom float64 // where the last row ends
}

func (p *svgPicture) draw(t Timeline, rows []timelineRow) {
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">`,
		p.right, p.bottom+svgMargin, p.right, p.bottom+svgMargin)
	p.printf(`  <title>%s</title>`, escapeXML(t.title()))
	p.printf(`  <style>%s  </style>`, svgStyle)
	p.printf(`  <rect class="ground" width="100%%" height="100%%"/>`)
	p.label("title", svgMargin, 38, t.title())
	p.legend(rows)

	runs := phaseRuns(rows)
	p.bands(runs)
	p.grid()
	top := svgAxisTop + svgHeadroom
	for _, run := range runs {
		p.label("heading", svgMargin, baseline(top), text.Printable(run[0].Phase))
		top += svgRow
		for _, row := range run {
			p.row(row, top)
			top += svgRow
		}
	}
	p.printf(`</svg>`)
}

// phaseRuns cuts rows where the phase changes.
func phaseRuns(rows []timelineRow) [][]timelineRow {
	var runs [][]timelineRow
	for i, row := range rows {
		if i == 0 || row.Phase != rows[i-1].Phase {
			runs = append(runs, nil)
		}
		last := len(runs) - 1
		runs[last] = append(runs[last], row)
	}
	return runs
}

// bands lays a ground under every second phase.
func (p *svgPicture) bands(runs [][]timelineRow) {
	top := svgAxisTop + svgHeadroom
	for i, run := range runs {
		height := svgRow * float64(len(run)+1)
		if i%2 == 0 {
			p.printf(`  <rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`,
				svgMargin/2, top, p.right-svgMargin, height)
		}
		top += height
	}
}

// grid draws a line down the picture for each tick, its time above it.
func (p *svgPicture) grid() {
	for _, tick := range ticks(p.length, 8) {
		x := p.at(tick)
		p.printf(`  <line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x, svgAxisTop, x, p.bottom)
		p.label("quiet middle", x, svgAxisTop-6, text.Duration(tick))
	}
}

// legend explains the colours that rows use, and only those.
func (p *svgPicture) legend(rows []timelineRow) {
	used := map[string]bool{}
	for _, row := range rows {
		used[row.class()] = true
		used["held"] = used["held"] || row.Held
	}
	x := svgMargin
	for _, class := range [...]string{"env-file", "export", "environment", "cached", "failed", "skipped", "held"} {
		if !used[class] {
			continue
		}
		middle := svgLegendTop - 4
		if class == "held" {
			p.printf(`  <line class="held" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x, middle, x+14, middle)
		} else {
			p.printf(`  <rect class="%s" x="%.1f" y="%.1f" width="14" height="10" rx="2"/>`, class, x, middle-5)
		}
		p.label("quiet", x+20, svgLegendTop, class)
		x += 20 + textWidth(len(class)) + svgGap
	}
	if len(rows) == 0 {
		p.label("quiet", x, svgLegendTop, "nothing ran")
	}
}

// class is the colour of a span's bar.
func (s Span) class() string {
	switch s.kind() {
	case kindCached:
		return "cached"
	case kindSkipped:
		return "skipped"
	case kindFailed:
		return "failed"
	}
	switch s.Phase {
	case "env-file", "export":
		return s.Phase
	}
	return "environment"
}

func (p *svgPicture) row(row timelineRow, top float64) {
	thinnest := svgThinnest
	if row.kind() == kindSkipped {
		thinnest = svgDashed
	}
	start, end := p.at(row.Start), p.at(row.End)
	start = min(start, p.at(p.length)-thinnest)
	middle := top + svgRow/2
	p.printf(`  <g><title>%s</title>`, escapeXML(text.Printable(row.Path)))
	p.label("", svgMargin+svgGap, baseline(top), row.name)
	if row.Held {
		p.printf(`  <line class="held" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, end, middle, p.at(p.length), middle)
	}
	p.printf(`  <rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`,
		row.class(), start, middle-svgBar/2, max(thinnest, end-start), svgBar)
	p.label("end", p.took, baseline(top), row.took)
	if row.note != "" {
		p.label(noteClass(row.Span), p.took+svgGap, baseline(top), row.note)
	}
	p.printf(`  </g>`)
}

func noteClass(s Span) string {
	if s.kind() == kindFailed {
		return "alarm"
	}
	return "quiet"
}

// label writes text, which may hold anything, with its baseline at y.
func (p *svgPicture) label(class string, x, y float64, text string) {
	p.printf(`  <text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, escapeXML(text))
}

func (p *svgPicture) printf(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", args...)
}

// at is where in the picture an offset from the start is.
func (p *svgPicture) at(offset time.Duration) float64 {
	return p.plot + place(offset, p.length, svgPlot)
}

func baseline(top float64) float64 { return top + svgRow/2 + 4 }

func textWidth(characters int) float64 { return float64(characters) * svgCharacter }

// escapeXML makes printable text character data.
func escapeXML(text string) string { return xmlEscapes().Replace(text) }

var xmlEscapes = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
})
