package timeline

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/text"
)

func exampleTimeline() Timeline {
	const ms = time.Millisecond
	return Timeline{Total: 1430 * ms, Command: "gunicorn", Spans: []Span{
		{Phase: "env-file", Name: "app.env", Path: "/etc/app.env", Start: ms / 5, End: ms / 2, Outcome: OK},
		{Phase: "export", Name: "bootstrap", Path: "/export/bootstrap", Start: ms, End: 48 * ms, Tries: 1, Outcome: OK},
		{Phase: "export", Name: "web", Path: "/export/web", Start: 48 * ms, End: 205 * ms, Tries: 1, Outcome: OK, Held: true},
		{Phase: "environment", Name: "PAYPAL_CLIENT_KEY", Path: "/environment/PAYPAL_CLIENT_KEY", Start: 761 * ms, End: 934 * ms, Tries: 1, Outcome: Cached},
		{Phase: "environment", Name: "PAYPAL_CLIENT_SECRET", Path: "/environment/PAYPAL_CLIENT_SECRET", Start: 934 * ms, End: 1429 * ms, Tries: 2, Outcome: TimedOut},
		{Phase: "environment", Name: "CACHE_DIR", Path: "/environment/CACHE_DIR", Start: 205 * ms, End: 205 * ms, Outcome: OK},
		{Phase: "environment", Name: "DATABASE_URL", Path: "/environment/DATABASE_URL", Start: 206 * ms, End: 760 * ms, Tries: 1, Outcome: OK},
		{Phase: "environment", Name: "DEBUG", Path: "/environment/DEBUG", Start: 206 * ms, End: 206 * ms, Outcome: Masked},
		{Phase: "environment", Name: "MEMCACHE_SERVER", Path: "/environment/MEMCACHE_SERVER", Start: 206 * ms, End: 1380 * ms, Tries: 3, Outcome: OK},
	}}
}

// timelines are start-ups of all kinds, by what is special about them.
func timelines() map[string]Timeline {
	crowd := Timeline{Total: 20 * time.Second, Command: "app"}
	for i := range 200 {
		start := time.Duration(i) * 97 * time.Millisecond
		crowd.Spans = append(crowd.Spans, Span{Phase: "environment", Name: fmt.Sprintf("NAME_%d", i), Start: start, End: start + 400*time.Millisecond, Tries: i % 4})
	}
	hostile := Timeline{Total: time.Second, Command: "</title><script>alert(1)</script>" + strings.Repeat("&", 500)}
	for i, name := range []string{"<&>\"'", "]]>", "\xff\xfe", "a\x00b", "\x1b[31mred", "a\nb\r\tc", "\ufffe\uffff", "\u202eevil", "", strings.Repeat("漢字", 100), strings.Repeat("x", 255), "%s%d%!"} {
		hostile.Spans = append(hostile.Spans, Span{Phase: "export", Name: name, Path: "/export/" + name, Start: time.Duration(i), End: time.Second, Tries: math.MaxInt, Outcome: name, Held: true})
	}
	return map[string]Timeline{
		"example":  exampleTimeline(),
		"nothing":  {},
		"no time":  {Command: "true", Spans: []Span{{Phase: "environment", Name: "A"}, {Phase: "environment", Name: "B", Outcome: Skipped, Held: true}}},
		"for ever": {Total: math.MaxInt64, Command: "app", Spans: []Span{{Phase: "export", Name: "A", End: math.MaxInt64, Tries: 9}, {Phase: "environment", Name: "B", Start: math.MaxInt64, End: math.MaxInt64}}},
		"absurd":   {Total: -1, Command: "app", Spans: []Span{{Phase: "<other>", Name: "A", Start: 5, End: 3}, {Name: "B", Start: -5, End: -3}, {Phase: "export", Name: "C", Start: time.Hour, End: 2 * time.Hour}}},
		"crowd":    crowd,
		"hostile":  hostile,
	}
}

func TestTimelineText(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, exampleTimeline().WriteText(&text, 80))
	require.Equal(t, strings.TrimPrefix(`
start-up of gunicorn took 1.43s
                        │0s       │500ms     │1s
env-file
  app.env               ▏                              300µs
export
  bootstrap             █                               47ms
  web                    ███▎───────────────────────── 157ms  held
environment
  CACHE_DIR                 ▎                             0s
  DATABASE_URL              ████████████               554ms
  DEBUG                     ┄                              -  masked
  MEMCACHE_SERVER           █████████████████████████  1.17s  3 tries
  PAYPAL_CLIENT_KEY                    ▒▒▒▒▒           173ms  cached
  PAYPAL_CLIENT_SECRET                     ▒▒▒▒▒▒▒▒▒▒▒ 495ms  timed out, 2 tries
`, "\n"), text.String())
}

func TestTimelineTextIsAligned(t *testing.T) {
	for kind, timeline := range timelines() {
		for _, width := range []int{-1, 0, 1, 40, 80, 300} {
			var text bytes.Buffer
			require.NoError(t, timeline.WriteText(&text, width))
			require.True(t, utf8.Valid(text.Bytes()), kind)
			timesEnd := map[int]bool{}
			rows := 0
			for line := range strings.Lines(text.String()) {
				line = strings.TrimSuffix(line, "\n")
				require.Equal(t, strings.TrimRight(line, " "), line)
				require.False(t, strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) }), "%s: %q", kind, line)
				if !strings.ContainsAny(line, barBlocks) {
					continue // the title, the axis, the heading of a phase
				}
				rows++
				timesEnd[endOfTime(line)] = true
			}
			require.Equal(t, len(timeline.Spans), rows, kind)
			require.LessOrEqual(t, len(timesEnd), 1, "%s: times end at columns %v", kind, timesEnd)
		}
	}
}

const barBlocks = "▏▎▍▌▋▊▉█▒┄─"

// endOfTime is the column in which the word after the bar ends.
func endOfTime(line string) int {
	_, lastBlock := utf8.DecodeRuneInString(line[strings.LastIndexAny(line, barBlocks):])
	start := strings.LastIndexAny(line, barBlocks) + lastBlock
	for line[start] == ' ' {
		start++
	}
	word, _, _ := strings.Cut(line[start:], " ")
	return text.Width(line[:start] + word)
}

// svgText is one text of a picture, and the box it takes.
type svgText struct {
	text                     string
	left, right, top, bottom float64
}

// readSVG parses a picture strictly and returns its texts, its bars (their classes) and its size.
func readSVG(t *testing.T, picture []byte) (texts []svgText, bars []string, width, height float64) {
	t.Helper()
	number := func(text string) float64 {
		n, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		return n
	}
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	depth := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			require.Zero(t, depth)
			return texts, bars, width, height
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			require.Contains(t, []string{"svg", "title", "style", "rect", "line", "text", "g"}, token.Name.Local)
			attributes := map[string]string{}
			for _, attribute := range token.Attr {
				attributes[attribute.Name.Local] = attribute.Value
			}
			switch token.Name.Local {
			case "svg":
				require.Equal(t, "http://www.w3.org/2000/svg", token.Name.Space)
				width, height = number(attributes["width"]), number(attributes["height"])
			case "rect":
				if attributes["height"] == "12.0" {
					bars = append(bars, attributes["class"])
					require.LessOrEqual(t, number(attributes["x"])+number(attributes["width"]), width)
				}
			case "text":
				var content string
				require.NoError(t, decoder.DecodeElement(&content, &token))
				depth--
				size := 12.0
				if attributes["class"] == "title" {
					size = 16
				}
				box := svgText{text: content, left: number(attributes["x"]), bottom: number(attributes["y"]) + size/4}
				box.top = box.bottom - size
				textWidth := float64(text.Width(content)) * size * 0.602 // of DejaVu Sans Mono
				if strings.Contains(attributes["class"], "end") {
					box.left -= textWidth
				} else if strings.Contains(attributes["class"], "middle") {
					box.left -= textWidth / 2
				}
				box.right = box.left + textWidth
				texts = append(texts, box)
			}
		}
	}
}

func TestTimelineSVGIsWellFormedAndNothingOverlaps(t *testing.T) {
	for kind, timeline := range timelines() {
		t.Run(kind, func(t *testing.T) {
			var picture bytes.Buffer
			require.NoError(t, timeline.WriteSVG(&picture))
			texts, bars, width, height := readSVG(t, picture.Bytes())
			require.Len(t, bars, len(timeline.Spans))
			require.Greater(t, len(texts), 2*len(timeline.Spans))
			for i, a := range texts {
				require.True(t, a.left >= 0 && a.right <= width && a.top >= 0 && a.bottom <= height, "%q is outside", a.text)
				for _, b := range texts[:i] {
					apart := a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
					require.True(t, apart || a.text == "" || b.text == "", "%q is over %q", a.text, b.text)
				}
			}
		})
	}
}

func TestTimelineSVGTellsWhatHappened(t *testing.T) {
	var picture bytes.Buffer
	require.NoError(t, exampleTimeline().WriteSVG(&picture))
	texts, bars, _, _ := readSVG(t, picture.Bytes())
	var words []string
	for _, text := range texts {
		words = append(words, text.text)
	}
	require.Subset(t, words, []string{"start-up of gunicorn took 1.43s", "200ms", "1.4s", "env-file", "export", "environment",
		"cached", "failed", "skipped", "held", "PAYPAL_CLIENT_SECRET", "495ms", "timed out, 2 tries", "3 tries"})
	require.Equal(t, []string{"env-file", "export", "export", "environment", "environment", "skipped", "environment", "cached", "failed"}, bars)
	require.Contains(t, picture.String(), "<title>/environment/DATABASE_URL</title>")
	require.Contains(t, picture.String(), "prefers-color-scheme: dark")
}

func TestTimelineSVGEscapesNames(t *testing.T) {
	var picture bytes.Buffer
	require.NoError(t, timelines()["hostile"].WriteSVG(&picture))
	require.NotContains(t, picture.String(), "<script")
	texts, _, _, _ := readSVG(t, picture.Bytes())
	var words []string
	for _, text := range texts {
		words = append(words, text.text)
	}
	require.Subset(t, words, []string{`<&>\"'`, `]]>`, `\xff\xfe`, `a\x00b`, `\x1b[31mred`, `a\nb\r\tc`, `\ufffe\uffff`, `\u202eevil`, `%s%d%!`})
}

func TestTickStepIsRoundAndFits(t *testing.T) {
	for length, step := range map[time.Duration]time.Duration{
		time.Millisecond: 200 * time.Microsecond, 1430 * time.Millisecond: 200 * time.Millisecond, 9 * time.Second: 2 * time.Second,
		time.Minute: 10 * time.Second, time.Hour: 10 * time.Minute, 30 * time.Hour: 6 * time.Hour, 110 * time.Hour: 24 * time.Hour,
	} {
		require.Equal(t, step, tickStep(length, 8), length.String())
	}
	for length := time.Millisecond; length > 0; length = length/2*3 + 1 {
		for n := 1; n <= 10; n++ {
			all := ticks(length, n)
			require.LessOrEqual(t, len(all), n+1, "%s in %d", length, n)
			labels := map[string]bool{}
			for _, tick := range all {
				labels[text.Duration(tick)] = true
			}
			require.Len(t, labels, len(all), "%s in %d: two ticks read the same", length, n)
		}
		if length > math.MaxInt64/2 {
			break
		}
	}
}

// Of very many spans those that matter are drawn, and the reader is told.
func TestManySpans(t *testing.T) {
	const all = 200_000
	tl := Timeline{Total: time.Hour}
	for i := range all {
		span := Span{Phase: "environment", Name: "V" + strconv.Itoa(i), Start: time.Duration(i), End: time.Duration(i + 1), Tries: 1, Outcome: OK}
		switch i {
		case 70_000:
			span.Outcome = Failed
		case 80_000:
			span.End += time.Second
		}
		tl.Spans = append(tl.Spans, span)
	}
	for name, draw := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return tl.WriteText(w, 80) },
		"svg":  tl.WriteSVG,
	} {
		var drawn bytes.Buffer
		require.NoError(t, draw(&drawn), name)
		require.Contains(t, drawn.String(), "1000 of 200000 shown", name)
		require.Contains(t, drawn.String(), "V70000", name)
		require.Contains(t, drawn.String(), "V80000", name)
		require.Less(t, strings.Count(drawn.String(), "\n"), 10_000, name)
	}
}
