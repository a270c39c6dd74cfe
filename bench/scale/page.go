//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The part of the page that is generated.
const (
	partBegins = "<!-- by make bench-scale: begin -->\n"
	partEnds   = "<!-- by make bench-scale: end -->\n"
)

// page writes the figures into scale.md, between its marks, and its plots beside it.
func page(figures, directory string) error {
	data, err := os.ReadFile(figures)
	if err != nil {
		return err
	}
	var all results
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	file := filepath.Join(directory, "scale.md")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), partBegins)
	_, after, ends := strings.Cut(rest, partEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no part that is generated: %q to %q", file, partBegins, partEnds)
	}
	for _, p := range plots(all.Results) {
		if err := os.WriteFile(filepath.Join(directory, p.file), p.svg(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, []byte(before+partBegins+tables(all)+partEnds+after), 0o644)
}

func (r result) way() string {
	if r.Plain {
		return "plain"
	}
	return "ours"
}

func (r result) size() string {
	return fmt.Sprintf("%d in %d, %d watchers", r.Instances, r.Services, r.Watchers)
}

// leases is how many of them are kept alive: one of each process, or one of each instance.
func (r result) leases() int {
	if r.Plain {
		return r.Instances
	}
	return r.Load.Processes
}

// renewals is how often a lease is renewed in a second: etcd's client does so at a third of the TTL.
func (r result) renewals() float64 { return float64(r.leases()) * 3 / r.TTL.Seconds() }

// events is how many changes etcd tells its watchers in a second. Ours of one process share what they watch.
func (r result) events() float64 {
	if r.Plain {
		return r.Load.Changes * float64(r.Watchers) / float64(r.Services)
	}
	return r.Load.Changes * float64(r.Watch.Processes*min(r.PerProcess, r.Services)) / float64(r.Services)
}

func tables(all results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s: %d cores, Linux %s, %s.\n", all.Date, all.Cores, strings.SplitN(all.Kernel, "-", 2)[0], all.Go)
	head := func(title, columns string) {
		fmt.Fprintf(&b, "\n%s\n\n| instances in services, watchers | | %s |\n|---|---|%s\n", title, strings.ReplaceAll(columns, ";", " |"),
			strings.Repeat("---|", strings.Count(columns, ";")+1))
	}
	row := func(r result, format string, values ...any) {
		fmt.Fprintf(&b, "| %s | %s | "+strings.ReplaceAll(format, ";", " |")+" |\n", append([]any{r.size(), r.way()}, values...)...)
	}
	each := func(format string, values func(result) []any) {
		for _, r := range all.Results {
			if len(r.Members) > 0 { // it was measured, whatever came then
				row(r, format, values(r)...)
			}
		}
	}

	head("What is asked of the cluster:", "leases; renewals/s; changes/s; watched events/s; all registered after, s; load of the machine")
	each("%d; %.0f; %.0f; %.0f; %.1f; %s", func(r result) []any {
		return []any{r.leases(), r.renewals(), r.Load.Changes, r.events(), r.Filled, r.Machine}
	})
	head("CPU, in cores, and resident memory, in MiB. A process is one of many that register or watch, measured together:",
		"etcd, all members; its leader; memory of a member; all that register; one of them, MiB; all that watch; one of them, MiB")
	each("%.2f; %.2f; %.0f; %.2f; %.1f; %.2f; %.1f", func(r result) []any {
		return []any{r.Etcd.CPU, r.Members[0].CPU, r.Etcd.Memory / members, r.Load.CPU, r.Load.Memory / float64(r.Load.Processes),
			r.Watch.CPU, r.Watch.Memory / float64(r.Watch.Processes)}
	})
	head("From a change to the callback of a watcher, in ms, and what the leader's death costs:",
		"p50; p99; callbacks/s; all watchers right after, s; writes tried again; most instances missed by a watcher")
	each("%.1f; %.1f; %.0f; %s; %d; %d", func(r result) []any {
		right := "never"
		if r.Error == "" {
			right = fmt.Sprintf("%.2f", r.Death.Right)
		}
		return []any{r.Watch.P50, r.Watch.P99, r.Watch.Callbacks, right, r.Death.Failed, max(r.Watch.Lost, r.Death.Lost)}
	})
	b.WriteString("\n")
	for _, p := range plots(all.Results) {
		fmt.Fprintf(&b, "![%s](%s)\n\n", p.title, p.file)
	}
	return b.String()
}
