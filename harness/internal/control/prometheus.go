package control

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Prometheus is the status in Prometheus' text format, as the node exporter's textfile collector reads it.
func (s Status) Prometheus() []byte {
	var b bytes.Buffer
	metric := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP envharness_%s %s\n# TYPE envharness_%s %s\n", name, help, name, kind)
	}
	gauge := func(name, help string, value float64) {
		metric(name, "gauge", help)
		fmt.Fprintf(&b, "envharness_%s %v\n", name, value)
	}
	metric("phase", "gauge", "1 for the phase that the harness is in.")
	for _, phase := range []string{Starting, Running, Drained, Stopping} {
		fmt.Fprintf(&b, "envharness_phase{phase=%q} %v\n", phase, number(s.Phase == phase))
	}
	gauge("ready", "Whether the command has been ready.", number(s.Ready))
	gauge("healthy", "Whether the command is healthy.", number(s.Healthy))
	gauge("announced", "Whether the service is announced.", number(s.Announced))
	gauge("command_start_time_seconds", "When the command was started last, 0 before it was.", seconds(s.Since))
	metric("command_restarts_total", "counter", "How often the command was started again.")
	fmt.Fprintf(&b, "envharness_command_restarts_total %d\n", s.Restarts)
	for _, m := range []struct {
		name, help string
		at         func(NameStatus) time.Time
	}{
		{"refreshed", "When the value of a name was last found.", func(n NameStatus) time.Time { return n.Refreshed }},
		{"failed", "When the value of a name could last not be found, 0 for never.", func(n NameStatus) time.Time { return n.Failed }},
		{"next_refresh", "When the value of a name will be found anew, 0 for never.", func(n NameStatus) time.Time { return n.Next }},
	} {
		metric(m.name+"_time_seconds", "gauge", m.help)
		for _, n := range s.Names {
			fmt.Fprintf(&b, "envharness_%s_time_seconds{name=\"%s\"} %v\n", m.name, label(n.Name), seconds(m.at(n)))
		}
	}
	metric("exporter_up", "gauge", "Whether a held executable of /export runs.")
	for _, e := range s.Exporters {
		fmt.Fprintf(&b, "envharness_exporter_up{path=\"%s\"} %v\n", label(e.Path), number(e.PID != 0))
	}
	return b.Bytes()
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// label escapes a label's value.
func label(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(value, "\ufffd"))
}
