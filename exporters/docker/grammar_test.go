package docker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDeclaresTooMuch: a container cannot fill the registry, or the log.
func TestDeclaresTooMuch(t *testing.T) {
	var good, bad strings.Builder
	for n := range 10000 {
		fmt.Fprintf(&good, "web:%d ", 1+n)
		fmt.Fprintf(&bad, "web%d ", n)
	}
	d := declared("DISCOVER", []string{"DISCOVER=" + good.String()}, nil)
	require.Len(t, d.services, maxParts)
	require.Len(t, d.complaints, 1)
	require.ErrorContains(t, d.complaints[0], "after 100 parts")
	d = declared("DISCOVER", []string{"DISCOVER=" + bad.String()}, map[string]string{"envharness.service.web": "80"})
	require.Empty(t, d.services)
	require.Len(t, d.complaints, maxParts+1)

	labels := map[string]string{"envharness.service.web": "80"}
	for n := range 1000 {
		labels[fmt.Sprintf("envharness.metadata.key%03d", n)] = strings.Repeat("x", 100)
		labels[fmt.Sprintf("envharness.unknown%d", n)] = "x"
	}
	d = declared("DISCOVER", nil, labels)
	require.Len(t, d.services, 1)
	require.Len(t, d.services[0].metadata, maxBytes/106)
	require.LessOrEqual(t, len(d.complaints), maxParts+1)
}

func TestDeclared(t *testing.T) {
	tests := map[string]struct {
		env        []string
		labels     map[string]string
		want       []string
		complaints []string // what each names
	}{
		"nothing":          {},
		"another variable": {env: []string{"DISCOVERED=web:80", "DISCOVER"}},
		"one":              {env: []string{"DISCOVER=web:8080"}, want: []string{"web:8080/tcp"}},
		"the documented": {
			env:  []string{"PATH=/bin", "DISCOVER=web:8080, stats:8125/udp"},
			want: []string{"web:8080/tcp", "stats:8125/udp"},
		},
		"commas, blanks and ends": {
			env:  []string{"DISCOVER= ,a:1,,b:2\tc:3/sctp \n, d:65535/TCP,"},
			want: []string{"a:1/tcp", "b:2/tcp", "c:3/sctp", "d:65535/tcp"},
		},
		"duplicates": {
			env:    []string{"DISCOVER=web:80 web:80/tcp web:80/udp web:81"},
			labels: map[string]string{"envharness.service.web": "80", "envharness.service": "web:81"},
			want:   []string{"web:80/tcp", "web:80/udp", "web:81/tcp"},
		},
		"labels": {
			labels: map[string]string{
				"envharness.service":         "web:8080, stats:8125/udp",
				"envharness.service.db.main": " 5432 ",
				"envharness.service.a":       "1/udp",
				"other":                      "y:1",
			},
			want: []string{"web:8080/tcp", "stats:8125/udp", "a:1/udp", "db.main:5432/tcp"},
		},
		"malformed parts hide no others": {
			env: []string{"DISCOVER=web, :80, web:, web:0, web:65536, web:+80, web:0x50, web:80/, web:80/icmp, a/b:80, _a:80, ..:80, ü:80, a:b:80, ok:80"},
			complaints: []string{`"web"`, `":80"`, `"web:"`, `"web:0"`, `"web:65536"`, `"web:+80"`, `"web:0x50"`, `"web:80/"`, `"web:80/icmp"`,
				`"a/b:80"`, `"_a:80"`, `"..:80"`, `"ü:80"`, `"a:b:80"`},
			want: []string{"ok:80/tcp"},
		},
		"malformed labels": {
			labels: map[string]string{"envharness.service.": "80", "envharness.service.web": "http", "envharness.service.ok": "80"},
			complaints: []string{
				`"envharness.service.": the name is empty`,
				`"envharness.service.web": "http": the port is no number`,
			},
			want: []string{"ok:80/tcp"},
		},
		"a name too long": {
			env:        []string{"DISCOVER=" + strings.Repeat("x", 256) + ":80 " + strings.Repeat("y", 255) + ":80"},
			complaints: []string{"longer than 255 bytes"},
			want:       []string{strings.Repeat("y", 255) + ":80/tcp"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := declared("DISCOVER", test.env, test.labels)
			require.Equal(t, test.want, partsOf(d))
			complained(t, d, test.complaints...)
		})
	}
}

// partsOf are the services, a port each.
func partsOf(d *declaration) (parts []string) {
	for _, s := range d.services {
		for _, name := range s.portNames() {
			parts = append(parts, s.part(name))
		}
	}
	return parts
}

// complained fails the test unless each complaint has its text, in their order.
func complained(t *testing.T, d *declaration, texts ...string) {
	t.Helper()
	require.Len(t, d.complaints, len(texts), "%v", d.complaints)
	for i, text := range texts {
		require.ErrorContains(t, d.complaints[i], text)
		require.Less(t, len(d.complaints[i].Error()), 500)
	}
}

// FuzzDeclared: every part is either a service, which reads as itself, or complained about, and none of them
// changes what a neighbour is.
func FuzzDeclared(f *testing.F) {
	f.Add("web:8080, stats:8125/udp", "web", "80")
	f.Add("a:b:80,,x:1/sctp /:", "..", "99999/tcp")
	f.Add("ü:80 \x00:1 a:\xff", "", "")
	f.Fuzz(func(t *testing.T, text, name, location string) {
		d := declared("DISCOVER", []string{"DISCOVER=" + text}, map[string]string{servicePrefix + name: location})
		require.LessOrEqual(t, len(d.services)+len(d.complaints), min(maxParts, len(split(text))+1)+1)
		if len(d.complaints) == 0 && len(split(text)) > 0 {
			require.NotEmpty(t, d.services)
		}
		for _, complaint := range d.complaints {
			require.Less(t, len(complaint.Error()), 900)
		}
		for _, part := range partsOf(d) {
			again := declared("DISCOVER", []string{"DISCOVER=" + part}, nil)
			require.Empty(t, again.complaints)
			require.Equal(t, []string{part}, partsOf(again))
		}
		if len(split(text)) < maxParts-1 {
			with := partsOf(declared("DISCOVER", []string{"DISCOVER=first:1," + text + ",last:2"}, nil))
			require.Equal(t, "first:1/tcp", with[0])
			require.Contains(t, with, "last:2/tcp")
		}
	})
}
