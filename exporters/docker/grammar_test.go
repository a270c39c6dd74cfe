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
	services, complaints := declared("DISCOVER", []string{"DISCOVER=" + good.String()}, nil)
	require.Len(t, services, maxParts)
	require.Len(t, complaints, 1)
	require.ErrorContains(t, complaints[0], "after 100 parts")
	services, complaints = declared("DISCOVER", []string{"DISCOVER=" + bad.String()}, map[string]string{"envharness.service.web": "80"})
	require.Empty(t, services)
	require.Len(t, complaints, maxParts+1)
}

func TestDeclared(t *testing.T) {
	tests := map[string]struct {
		env        []string
		labels     map[string]string
		want       []service
		complaints []string // what each names
	}{
		"nothing":          {},
		"another variable": {env: []string{"DISCOVERED=web:80", "DISCOVER"}},
		"one":              {env: []string{"DISCOVER=web:8080"}, want: []service{{"web", 8080, "tcp"}}},
		"the documented": {
			env:  []string{"PATH=/bin", "DISCOVER=web:8080, stats:8125/udp"},
			want: []service{{"web", 8080, "tcp"}, {"stats", 8125, "udp"}},
		},
		"commas, blanks and ends": {
			env:  []string{"DISCOVER= ,a:1,,b:2\tc:3/sctp \n, d:65535/TCP,"},
			want: []service{{"a", 1, "tcp"}, {"b", 2, "tcp"}, {"c", 3, "sctp"}, {"d", 65535, "tcp"}},
		},
		"duplicates": {
			env:    []string{"DISCOVER=web:80 web:80/tcp web:80/udp web:81"},
			labels: map[string]string{"envharness.service.web": "80", "envharness.service": "web:81"},
			want:   []service{{"web", 80, "tcp"}, {"web", 80, "udp"}, {"web", 81, "tcp"}},
		},
		"labels": {
			labels: map[string]string{
				"envharness.service":         "web:8080, stats:8125/udp",
				"envharness.service.db.main": " 5432 ",
				"envharness.service.a":       "1/udp",
				"envharness.services":        "x:1",
				"other":                      "y:1",
			},
			want: []service{{"web", 8080, "tcp"}, {"stats", 8125, "udp"}, {"a", 1, "udp"}, {"db.main", 5432, "tcp"}},
		},
		"malformed parts hide no others": {
			env: []string{"DISCOVER=web, :80, web:, web:0, web:65536, web:+80, web:0x50, web:80/, web:80/icmp, a/b:80, _a:80, ..:80, ü:80, a:b:80, ok:80"},
			complaints: []string{`"web"`, `":80"`, `"web:"`, `"web:0"`, `"web:65536"`, `"web:+80"`, `"web:0x50"`, `"web:80/"`, `"web:80/icmp"`,
				`"a/b:80"`, `"_a:80"`, `"..:80"`, `"ü:80"`, `"a:b:80"`},
			want: []service{{"ok", 80, "tcp"}},
		},
		"malformed labels": {
			labels: map[string]string{"envharness.service.": "80", "envharness.service.web": "http", "envharness.service.ok": "80"},
			complaints: []string{
				`"envharness.service.=80"`,
				`"envharness.service.web=http"`,
			},
			want: []service{{"ok", 80, "tcp"}},
		},
		"a name too long": {
			env:        []string{"DISCOVER=" + strings.Repeat("x", 256) + ":80 " + strings.Repeat("y", 255) + ":80"},
			complaints: []string{"longer than 255 bytes"},
			want:       []service{{strings.Repeat("y", 255), 80, "tcp"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, complaints := declared("DISCOVER", test.env, test.labels)
			require.Equal(t, test.want, got)
			require.Len(t, complaints, len(test.complaints))
			for i, part := range test.complaints {
				require.ErrorContains(t, complaints[i], part)
				require.Less(t, len(complaints[i].Error()), 300)
			}
		})
	}
}

// FuzzDeclared: every part is either a service, which reads as itself, or complained about, and none of them
// changes what a neighbour is.
func FuzzDeclared(f *testing.F) {
	f.Add("web:8080, stats:8125/udp", "web", "80")
	f.Add("a:b:80,,x:1/sctp /:", "..", "99999/tcp")
	f.Add("ü:80 \x00:1 a:\xff", "", "")
	f.Fuzz(func(t *testing.T, text, name, location string) {
		services, complaints := declared("DISCOVER", []string{"DISCOVER=" + text}, map[string]string{serviceLabel + name: location})
		require.LessOrEqual(t, len(services)+len(complaints), len(split(text))+1)
		if len(complaints) == 0 && len(split(text)) > 0 {
			require.NotEmpty(t, services)
		}
		for _, complaint := range complaints {
			require.Less(t, len(complaint.Error()), 600)
		}
		for _, s := range services {
			again, none := declared("DISCOVER", []string{"DISCOVER=" + s.String()}, nil)
			require.Empty(t, none)
			require.Equal(t, []service{s}, again)
		}
		with, _ := declared("DISCOVER", []string{"DISCOVER=first:1," + text + ",last:2"}, nil)
		require.Equal(t, service{"first", 1, "tcp"}, with[0])
		require.Contains(t, with, service{"last", 2, "tcp"})
	})
}
