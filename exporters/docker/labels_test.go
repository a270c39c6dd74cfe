package docker

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// described is a service in one line, as tests compare it.
func described(s service) string {
	var words []string
	for _, name := range s.portNames() {
		words = append(words, fmt.Sprintf("%s=%s", name, s.ports[name]))
	}
	if s.id != "" {
		words = append(words, "id="+s.id)
	}
	if s.tags != nil {
		words = append(words, "tags="+strings.Join(s.tags, ","))
	}
	for _, key := range slices.Sorted(maps.Keys(s.metadata)) {
		words = append(words, key+":"+s.metadata[key])
	}
	if s.shard != nil {
		words = append(words, "shard="+*s.shard)
	}
	return s.name + " " + strings.Join(words, " ")
}

func describedAll(d *declaration) (all []string) {
	for _, s := range d.services {
		all = append(all, described(s))
	}
	return all
}

func TestLabels(t *testing.T) {
	type labels = map[string]string
	for name, test := range map[string]struct {
		variable   string
		labels     labels
		want       []string
		complaints []string
	}{
		"the documented": {
			labels: labels{
				"envharness.service":          "web",
				"envharness.port.http":        "8080",
				"envharness.port.metrics":     "9090/tcp",
				"envharness.tags":             "blue, canary",
				"envharness.metadata.version": "1.4",
				"envharness.shard":            "eu",
			},
			want: []string{"web http=8080/tcp metrics=9090/tcp tags=blue,canary version:1.4 shard=eu"},
		},
		"several services": {
			labels: labels{
				"envharness.service.web.port.http":  "8080",
				"envharness.service.web.port.https": "8443",
				"envharness.service.web.tags":       "edge",
				"envharness.service.db.main":        "5432",
				"envharness.service.db.main.shard":  "s1",
				"envharness.tags":                   "all",
				"envharness.metadata.a.b":           "of all",
				"envharness.service.web.metadata.c": "of web",
			},
			want: []string{"db.main default=5432/tcp tags=all a.b:of all shard=s1", "web http=8080/tcp https=8443/tcp tags=edge a.b:of all c:of web"},
		},
		"attributes of what the variable declares": {
			variable: "web:8080 stats:8125/udp",
			labels:   labels{"envharness.service.web.tags": "blue", "envharness.shard": "eu"},
			want:     []string{"web default=8080/tcp tags=blue shard=eu", "stats default=8125/udp shard=eu"},
		},
		"one service by variable, name and labels": {
			variable: "web:8080",
			labels:   labels{"envharness.service": "web", "envharness.port.http": "8080", "envharness.service.web.port.admin": "8081"},
			want:     []string{"web admin=8081/tcp http=8080/tcp"},
		},
		"an own empty list of tags": {
			labels: labels{"envharness.service.web": "1", "envharness.service.web.tags": "", "envharness.tags": "x"},
			want:   []string{"web default=1/tcp tags="},
		},
		"contradictions": {
			labels: labels{
				"envharness.service":                   "web",
				"envharness.port.http":                 "8080",
				"envharness.port.admin":                "8081",
				"envharness.service.web.port.http":     "9090",
				"envharness.service.web":               "1",
				"envharness.service.web.port.default":  "2",
				"envharness.service.web.port.default2": "2",
			},
			want: []string{"web admin=8081/tcp default=1/tcp default2=2/tcp http=9090/tcp"},
			complaints: []string{
				`"envharness.service.web.port.default": label envharness.service.web says 1/tcp, which counts`,
				`"envharness.port.http": label envharness.service.web.port.http says 9090/tcp, which counts`,
			},
		},
		"ports without a service": {
			labels:     labels{"envharness.port.http": "80", "envharness.service.ok": "1"},
			want:       []string{"ok default=1/tcp"},
			complaints: []string{`"envharness.port.http": no service has it; add envharness.service=NAME`},
		},
		"services without a port": {
			labels:     labels{"envharness.service": "web, api", "envharness.port.http": "80", "envharness.service.db.tags": "x"},
			want:       []string{"web http=80/tcp"},
			complaints: []string{"service api of label envharness.service: it has no port", "envharness.service.db.*: the container declares no service db"},
		},
		"what cannot be read": {
			labels: labels{
				"envharness.service":                 "web, a/b, c:x",
				"envharness.port.http":               "99999",
				"envharness.port.a b":                "80",
				"envharness.port.ok":                 "80",
				"envharness.port":                    "80",
				"envharness.tag":                     "x",
				"envharness.tags":                    "a\x07b",
				"envharness.shard":                   strings.Repeat("x", 256),
				"envharness.metadata":                "x",
				"envharness.metadata.realm":          "other",
				"envharness.metadata.fine":           "x",
				"envharness.service._a":              "80",
				"envharness.service.web.port.bad":    "0",
				"envharness.service.web.metadata.d":  "x",
				"envharness.service.web.metadata.\n": "x",
				"other.label":                        "x",
			},
			want: []string{"web ok=80/tcp d:x fine:x"},
			complaints: []string{
				`"envharness.metadata": there is no such label: known are service`,
				`"envharness.metadata.realm"`,
				`"envharness.port": there is no such label`,
				`"envharness.port.a b": a name has`,
				`"envharness.port.http": "99999": the port is no number between 1 and 65535`,
				`"a/b" of label envharness.service: a name has`,
				`"c:x"`,
				`"envharness.service._a": a name has`,
				`"envharness.service.web.metadata.\n": it has a control character`,
				`"envharness.service.web.port.bad": "0"`,
				`"envharness.shard": it is longer than 255 bytes`,
				`"envharness.tag": there is no such label`,
				`"envharness.tags": it has a control character`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := declared("DISCOVER", []string{"DISCOVER=" + test.variable}, test.labels)
			require.Equal(t, test.want, describedAll(d))
			complained(t, d, test.complaints...)
		})
	}
}

// TestDocumentedLabels reads the labels that docs/envdiscoverd.md shows.
func TestDocumentedLabels(t *testing.T) {
	page, err := os.ReadFile("../../docs/envdiscoverd.md")
	require.NoError(t, err)
	labels := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^ +(envharness\.\S+): "?(.*?)"?$`).FindAllStringSubmatch(string(page), -1) {
		labels[match[1]] = match[2]
	}
	d := declared(DefaultVariable, nil, labels)
	require.Empty(t, d.complaints)
	require.Equal(t, []string{"web http=8080/tcp metrics=9090/tcp tags=blue,canary version:1.4 shard=eu"}, describedAll(d))
}

// TestAttributesWithoutAService are complained about, but not by a container that says nothing to us.
func TestAttributesWithoutAService(t *testing.T) {
	h, c := testHost(), container{id: testID, hostNetwork: true, labels: map[string]string{"envharness.tags": "x"}}
	require.ErrorContains(t, h.instances(c, testAddresses).complaints[0], "declares no service")
	c.labels = map[string]string{"other": "x"}
	require.Empty(t, h.instances(c, testAddresses).complaints)
}

// TestAHundredLabels are read, each.
func TestAHundredLabels(t *testing.T) {
	labels := map[string]string{"envharness.service": "web", "envharness.port.http": "80"}
	for n := range 40 {
		labels[fmt.Sprintf("envharness.metadata.key%d", n)] = fmt.Sprint("value ", n)
		labels[fmt.Sprintf("envharness.service.web.port.p%d", n)] = fmt.Sprint(1000 + n)
		labels[fmt.Sprintf("envharness.service.s%d", n)] = fmt.Sprint(2000 + n)
	}
	c := container{id: testID, name: "shop", hostNetwork: true, labels: labels}
	r := testHost().instances(c, testAddresses)
	require.Empty(t, r.complaints)
	require.Len(t, r.instances, 41)
	web := r.instances[slices.IndexFunc(r.instances, func(in discovery.Instance) bool { return in.Service == "web" })]
	require.Len(t, web.Ports, 41)
	require.Len(t, web.Metadata, 43)
}

// TestSeveralPorts of one instance are at one address.
func TestSeveralPorts(t *testing.T) {
	c := container{id: testID, ports: at("0.0.0.0:8001"), labels: map[string]string{
		"envharness.service.web": "80", "envharness.service.web.port.closed": "81", "envharness.service.web.port.elsewhere": "82/udp",
	}}
	c.ports[portAt("82/udp")] = at("192.0.2.7:8002")[portAt("80/tcp")]
	r := testHost().instances(c, testAddresses)
	require.Len(t, r.instances, 1)
	require.Equal(t, "10.0.0.5", r.instances[0].Host)
	require.Equal(t, map[string]discovery.Port{"default": {Number: 8001, Protocol: "tcp"}}, r.instances[0].Ports)
	require.Len(t, r.complaints, 2)
	require.ErrorContains(t, r.complaints[0], `"web:81/tcp": the container does not publish`)
	require.ErrorContains(t, r.complaints[1], `"web:82/udp": it is reached at 192.0.2.7 and another port of this instance at 10.0.0.5`)
}

// FuzzLabels: nothing that labels or variables say breaks the exporter, another container's instance, or what a record
// can hold.
func FuzzLabels(f *testing.F) {
	f.Add("envharness.service", "web, x:1", "envharness.port.http", "80", "SERVICE_NAME=db")
	f.Add("envharness.service.web.metadata.a", "x", "envharness.service.web", "1/udp", "SERVICE_80_TAGS=a,b\\,c")
	f.Add("envharness.tags", "a, b,,\x00", "envharness.service.a.b.shard", "eu", "SERVICE_ID=h:0123456789ab")
	f.Add("envharness.service.certain.port.x", "7", "envharness.service", "certain", "SERVICE_53_REALM=x")
	f.Add("SERVICE_80_NAME", "a/b", "SERVICE_IGNORE", "", "SERVICE_80_80=\xff")
	f.Fuzz(func(t *testing.T, label1, value1, label2, value2, env string) {
		c := container{
			id: testID, image: "repo/shop:1", hostNetwork: true, env: []string{env, "DISCOVER=certain:7"},
			exposed: exposing("80/tcp", "53/udp"), labels: map[string]string{label1: value1, label2: value2},
		}
		h := testHost()
		h.registrator = true
		r := h.instances(c, testAddresses)
		require.NotEmpty(t, r.instances)
		keys := map[key]bool{}
		for _, in := range r.instances {
			require.False(t, keys[keyOf(in)], "%v", in)
			keys[keyOf(in)] = true
			_, err := in.Normalize()
			require.NoError(t, err)
			require.NoError(t, validName(in.Service))
			require.NoError(t, validID(in.ID))
			require.Equal(t, "default", in.Metadata[realmKey])
		}
		if !strings.HasPrefix(env, "DISCOVER=") {
			require.True(t, slices.ContainsFunc(r.instances, func(in discovery.Instance) bool { return in.Service == "certain" }))
		}
		for _, complaint := range r.complaints {
			require.Less(t, len(complaint.Error()), 2000)
		}
	})
}
