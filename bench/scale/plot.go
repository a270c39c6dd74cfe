//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// plot is bars, ours beside plain, for each size.
type plot struct {
	file, title string
	logarithmic bool
	bars        []bar
}

type bar struct {
	label string
	ours  bool
	value float64 // with it, the label's figure
	note  string
}

func plots(all []result) []plot {
	kinds := []struct {
		file, title string
		value       func(result) float64
		note        string
	}{
		{"scale-etcd-cpu.svg", "CPU of all etcd members, cores", func(r result) float64 { return r.Etcd.CPU }, "%.2f"},
		{"scale-register-cpu.svg", "CPU of all that register, cores", func(r result) float64 { return r.Load.CPU }, "%.2f"},
		{"scale-watch-cpu.svg", "CPU of all that watch, cores", func(r result) float64 { return r.Watch.CPU }, "%.2f"},
		{"scale-latency.svg", "From a change to a watcher's callback, p50, ms, logarithmic", func(r result) float64 { return r.Watch.P50 }, "%.1f"},
		{"scale-latency-p99.svg", "From a change to a watcher's callback, p99, ms, logarithmic", func(r result) float64 { return r.Watch.P99 }, "%.1f"},
		{"scale-death.svg", "From the leader's death until all watchers are right, s", func(r result) float64 { return r.Death.Right }, "%.2f"},
	}
	var made []plot
	for _, kind := range kinds {
		p := plot{file: kind.file, title: kind.title, logarithmic: strings.HasSuffix(kind.title, ", logarithmic")}
		for _, r := range all {
			value := kind.value(r)
			note := fmt.Sprintf(kind.note, value)
			if value == 0 {
				note = "never"
			}
			p.bars = append(p.bars, bar{r.size(), !r.Plain, value, note})
		}
		made = append(made, p)
	}
	return made
}

// svg draws the bars; a pair of the same label stands together.
func (p plot) svg() []byte {
	const left, width, thick = 250, 420, 16
	most := 0.0
	for _, b := range p.bars {
		most = max(most, b.value)
	}
	var drawn bytes.Buffer
	y, before := 58, ""
	for _, b := range p.bars {
		if b.label != before {
			y += 12
			fmt.Fprintf(&drawn, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+thick-1, b.label)
		}
		before = b.label
		long := max(1, width*p.part(b.value, most))
		fmt.Fprintf(&drawn, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
			left, y, long, thick-2, colour(b.ours), left+long+6, y+thick-4, b.note)
		y += thick
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="740" height="%d" font-family="sans-serif" font-size="13" fill="#222">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="16" y="26" font-size="15" font-weight="bold">%s</text>
<rect x="16" y="38" width="12" height="12" fill="%s"/><text x="34" y="49">package discovery</text>
<rect x="170" y="38" width="12" height="12" fill="%s"/><text x="188" y="49">plain code on etcd's client</text>
%s</svg>
`, y+16, p.title, p.title, colour(true), colour(false), drawn.Bytes())
	return out.Bytes()
}

// part is how much of the longest bar one is; a logarithmic one begins at 1.
func (p plot) part(value, most float64) float64 {
	switch {
	case most <= 0:
		return 0
	case p.logarithmic && most > 1:
		return math.Log(max(1, value)) / math.Log(most)
	}
	return value / most
}

func colour(ours bool) string {
	if ours {
		return "#1f6f8b"
	}
	return "#c9a227"
}
