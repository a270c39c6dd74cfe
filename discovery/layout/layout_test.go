package layout_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// names are all layouts of this package that New knows.
var names = []string{"native", "scalingo", "totem", "containerpilot", "lighthouse", "skydns"}

func newLayout(t testing.TB, name, prefix string) layout.Layout {
	if prefix == "" {
		prefix = zones[name]
	}
	t.Helper()
	l, err := layout.New(name, prefix, "this-machine")
	require.NoError(t, err)
	return l
}

func ports(name string, number int) map[string]discovery.Port {
	return map[string]discovery.Port{name: {Number: number, Protocol: "tcp"}}
}

// golden reads a file of keys and values, line by line.
func golden(t *testing.T, name string) []layout.Record {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	require.Zero(t, len(lines)%2)
	var records []layout.Record
	for i := 0; i < len(lines); i += 2 {
		records = append(records, layout.Record{Key: lines[i], Value: []byte(lines[i+1])})
	}
	return records
}

// same compares records as old readers do: JSON by its content, all else by its bytes.
func same(t *testing.T, want, got layout.Record) {
	t.Helper()
	require.Equal(t, want.Key, got.Key)
	if json.Valid(want.Value) {
		require.JSONEq(t, string(want.Value), string(got.Value))
	} else {
		require.Equal(t, string(want.Value), string(got.Value))
	}
}

const uuid = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

// written are instances and, by the layout, what they are written as.
var written = []struct {
	layout, golden string
	instance       discovery.Instance
}{
	{"native", "native-small", discovery.Instance{
		ID: "a", Service: "web", Host: "10.0.0.5", Ports: ports("http", 80), State: discovery.Passing,
	}},
	{"native", "native-full", discovery.Instance{
		ID: "node-1_web", Service: "web", Host: "10.0.0.5", PrivateHost: "node-1.internal", Ports: ports("http", 80),
		PrivatePorts: ports("http", 8080), User: "u", Password: "p", Tags: []string{"blue"},
		Metadata: map[string]string{"version": "1"}, Shard: "s0", State: discovery.Passing, Critical: true, Public: true,
	}},
	{"scalingo", "scalingo-public", discovery.Instance{
		ID: uuid + "-node-1.internal", Service: "s", Host: "public.dev", PrivateHost: "node-1.internal", Ports: ports("http", 80),
		PrivatePorts: ports("http", 8080), User: "u", Password: "p", Shard: "s0", State: discovery.Passing, Critical: true, Public: true,
	}},
	{"scalingo", "scalingo-private", discovery.Instance{
		ID: uuid + "-node-2.internal", Service: "s", Host: "node-2.internal", PrivateHost: "node-2.internal", State: discovery.Passing,
	}},
	{"totem", "totem-first", discovery.Instance{
		ID: "host1:0123456789ab", Service: "web", Host: "10.0.0.5", Ports: ports("default", 49157),
		Metadata: map[string]string{"realm": "my-realm"}, State: discovery.Passing,
	}},
	{"totem", "totem-second", discovery.Instance{
		ID: "host1:0123456789ab-8081", Service: "web", Host: "fd00::5",
		Ports:    map[string]discovery.Port{"default": {Number: 49158, Protocol: "udp"}},
		Metadata: map[string]string{"realm": "my-realm"}, State: discovery.Passing,
	}},
	{"containerpilot", "containerpilot-plain", discovery.Instance{
		ID: "app-host1", Service: "app", Host: "10.0.0.5", Ports: ports("default", 8000), State: discovery.Passing,
	}},
	{"containerpilot", "containerpilot-tags", discovery.Instance{
		ID: "app-host1", Service: "app", Host: "10.0.0.5", Ports: ports("default", 8000), Tags: []string{"blue"}, State: discovery.Passing,
	}},
	{"lighthouse", "lighthouse-plain", discovery.Instance{
		ID: "redis1.int.local:6379", Service: "redis", Host: "10.0.1.8", Ports: ports("default", 6379), State: discovery.Passing,
	}},
	{"lighthouse", "lighthouse-metadata", discovery.Instance{
		ID: "redis1.int.local:6379", Service: "redis", Host: "10.0.1.8", Ports: ports("default", 6379),
		Metadata: map[string]string{"type": "master"}, State: discovery.Passing,
	}},
	{"skydns", "skydns-plain", discovery.Instance{
		ID: "a", Service: "web", Host: "10.0.0.5", Ports: ports("default", 8080), State: discovery.Passing,
		Unknown: map[string]discovery.RawField{"ttl": discovery.RawField("10")},
	}},
	{"skydns", "skydns-ports", discovery.Instance{
		ID: "a", Service: "web", Host: "10.0.0.5", Ports: map[string]discovery.Port{
			"http": {Number: 80, Protocol: "tcp"}, "dns": {Number: 53, Protocol: "udp"},
		}, Tags: []string{"blue"}, State: discovery.Passing,
		Unknown: map[string]discovery.RawField{"ttl": discovery.RawField("10")},
	}},
}

// zones are the prefixes of layouts that have no default one.
var zones = map[string]string{"skydns": "cluster.local"}

func TestGolden(t *testing.T) {
	for _, w := range written {
		t.Run(w.golden, func(t *testing.T) {
			l := newLayout(t, w.layout, "")
			want := golden(t, w.golden)
			got, err := l.Encode(w.instance)
			require.NoError(t, err)
			for i := range got {
				same(t, want[i], got[i])
			}
			read, err := l.Decode(want[0].Key, want[0].Value)
			require.NoError(t, err)
			require.Equal(t, w.instance, read)
			prefix, err := l.ServicePrefix(w.instance.Service)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(got[0].Key, prefix))
			require.True(t, strings.HasPrefix(prefix, l.ServicesPrefix()))
		})
	}
}

// TestServiceRecords: what scalingo writes of a service.
func TestServiceRecords(t *testing.T) {
	l := layout.NewScalingo("", "")
	for _, w := range written {
		if w.layout != "scalingo" {
			continue
		}
		want := golden(t, w.golden)[1]
		key, err := l.InfoKey(w.instance.Service)
		require.NoError(t, err)
		value, err := l.EncodeInfo(w.instance)
		require.NoError(t, err)
		same(t, want, layout.Record{Key: key, Value: value})
		read, err := l.DecodeInfo(w.instance.Service, want.Value)
		require.NoError(t, err)
		require.Equal(t, w.instance.Public, read.Public)
		if read.Public {
			url, err := read.URL("http", "/")
			require.NoError(t, err)
			require.Equal(t, "http://u:p@public.dev:80/", url)
		}
	}
	_, err := l.DecodeInfo("s", []byte(`null`))
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

// TestContainerRecords: what totem writes of a container, by each of its services.
func TestContainerRecords(t *testing.T) {
	l := layout.NewTotem("", "")
	first, second := written[4].instance, written[5].instance
	key, err := l.HostKey(first)
	require.NoError(t, err)
	for _, mark := range []string{"", "{}", "null", "[]", "nonsense"} {
		value, err := l.JoinHost([]byte(mark), first)
		require.NoError(t, err)
		same(t, golden(t, "totem-first")[1], layout.Record{Key: key, Value: value})
	}
	one := golden(t, "totem-first")[1].Value
	again, err := l.JoinHost(one, first)
	require.NoError(t, err)
	require.Equal(t, string(one), string(again))

	key, err = l.HostKey(second)
	require.NoError(t, err)
	both, err := l.JoinHost(one, second)
	require.NoError(t, err)
	same(t, golden(t, "totem-second")[1], layout.Record{Key: key, Value: both})

	left, err := l.LeaveHost(both, second)
	require.NoError(t, err)
	require.JSONEq(t, string(one), string(left))
	unchanged, err := l.LeaveHost(one, second)
	require.NoError(t, err)
	require.Equal(t, one, unchanged)
	none, err := l.LeaveHost(one, first)
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestPrefixes(t *testing.T) {
	for name, want := range map[string][2]string{
		"native":         {"/envharness/services/", "/a/b/services/"},
		"scalingo":       {"/services/", "/a/b/services/"},
		"totem":          {"/discover/service/", "/a/b/service/"},
		"containerpilot": {"/containerpilot/", "/a/b/"},
		"lighthouse":     {"/lighthouse/", "/a/b/"},
	} {
		require.Equal(t, want[0], newLayout(t, name, "").ServicesPrefix())
		for _, prefix := range []string{"a/b", "/a/b/"} {
			l := newLayout(t, name, prefix)
			require.Equal(t, want[1], l.ServicesPrefix())
			require.Equal(t, "/a/b/environment/", l.ValuesPrefix())
		}
		require.Equal(t, "/envharness/environment/", newLayout(t, name, "").ValuesPrefix())
	}
	_, err := layout.New("odd", "", "")
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

func TestIdentify(t *testing.T) {
	scalingo := newLayout(t, "scalingo", "")
	in := discovery.Instance{ID: "ignored", Service: "s", Host: "10.0.0.5", Ports: ports("http", 80)}
	one, err := scalingo.Identify(in)
	require.NoError(t, err)
	two, err := scalingo.Identify(in)
	require.NoError(t, err)
	require.NotEqual(t, one.ID, two.ID)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-10\.0\.0\.5$`, one.ID)
	require.Equal(t, "10.0.0.5", one.PrivateHost)
	require.Equal(t, in.Ports, one.PrivatePorts)
	in.Public = true
	public, err := scalingo.Identify(in)
	require.NoError(t, err)
	require.Equal(t, "this-machine", public.PrivateHost)
	require.True(t, strings.HasSuffix(public.ID, "-this-machine"))

	totem := newLayout(t, "totem", "")
	for id, want := range map[string]string{
		"": `^this-machine:this-machine$`, "abc": `^this-machine:abc$`, "h:abc": `^h:abc$`,
	} {
		got, err := totem.Identify(discovery.Instance{ID: id, Service: "s"})
		require.NoError(t, err)
		require.Regexp(t, want, got.ID)
	}

	pilot := newLayout(t, "containerpilot", "")
	for id, want := range map[string]string{"": "s-this-machine", "mine": "mine"} {
		got, err := pilot.Identify(discovery.Instance{ID: id, Service: "s"})
		require.NoError(t, err)
		require.Equal(t, want, got.ID)
	}

	lighthouse := newLayout(t, "lighthouse", "")
	for id, want := range map[string]string{
		"": "this-machine:80", "web-this-machine-80": "this-machine:80", "h:x": "this-machine:80", "h:81": "h:81", "fd00::1:81": "fd00::1:81",
	} {
		got, err := lighthouse.Identify(discovery.Instance{ID: id, Service: "s", Host: "fd00::5", Ports: ports("http", 80)})
		require.NoError(t, err)
		require.Equal(t, want, got.ID)
	}
	named, err := lighthouse.Identify(discovery.Instance{Service: "s", Host: "redis1.int.local", Ports: ports("http", 80)})
	require.NoError(t, err)
	require.Equal(t, "redis1.int.local:80", named.ID)
}

// TestProtocols: a layout whose readers take every port for tcp refuses another.
func TestProtocols(t *testing.T) {
	for _, w := range written {
		in := w.instance.Clone()
		if len(in.Ports) == 0 {
			continue
		}
		for name, port := range in.Ports {
			port.Protocol = "udp"
			in.Ports[name] = port
		}
		_, err := newLayout(t, w.layout, "").Encode(in)
		switch w.layout {
		case "native", "totem", "skydns":
			require.NoError(t, err)
		default:
			require.ErrorIs(t, err, discovery.ErrInvalid, w.layout)
			require.ErrorContains(t, err, "udp")
		}
	}
}

// TestLostFields: one warning names all that a layout has no place for, and no value.
func TestLostFields(t *testing.T) {
	in := discovery.Instance{
		Service: "web", Host: "10.0.0.5", PrivateHost: "10.0.0.6", Ports: ports("http", 80), PrivatePorts: ports("http", 8080),
		User: "canary", Password: "canary", Tags: []string{"canary"}, Metadata: map[string]string{"realm": "r", "canary": "canary"},
		Shard: "canary", Critical: true, Public: true, State: discovery.Starting,
	}
	for name, want := range map[string]string{
		"native":         "",
		"scalingo":       "tags, metadata",
		"totem":          "private host, private ports, user, password, tags, metadata, shard, critical, public",
		"containerpilot": "private host, private ports, user, password, metadata, shard, critical, public",
		"lighthouse":     "private ports, user, password, tags, shard, critical, public",
		"skydns":         "user, password",
	} {
		var log bytes.Buffer
		_, err := layout.Fit(newLayout(t, name, ""), slog.New(slog.NewTextHandler(&log, nil)))(in)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, log.String())
			continue
		}
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), name)
		require.Contains(t, log.String(), `fields="`+want+`"`, name)
		require.NotContains(t, log.String(), "canary")
	}
}

// TestLighthouseAddress: ip is an address, whichever of the hosts is one.
func TestLighthouseAddress(t *testing.T) {
	l := newLayout(t, "lighthouse", "")
	for _, hosts := range [][2]string{{"10.0.1.8", ""}, {"10.0.1.8", "redis1.int.local"}, {"redis1.int.local", "10.0.1.8"}, {"192.0.2.1", "10.0.1.8"}} {
		records, err := l.Encode(discovery.Instance{
			ID: "redis1.int.local:6379", Service: "redis", Host: hosts[0], PrivateHost: hosts[1], Ports: ports("default", 6379), State: discovery.Passing,
		})
		require.NoError(t, err)
		same(t, golden(t, "lighthouse-plain")[0], records[0])
	}
}

// TestNotPassing: a layout without states announces only who passes.
func TestNotPassing(t *testing.T) {
	for _, w := range written {
		in := w.instance
		in.State = discovery.Draining
		records, err := newLayout(t, w.layout, "").Encode(in)
		require.NoError(t, err)
		if w.layout == "native" {
			require.Len(t, records, 1)
		} else {
			require.Empty(t, records)
		}
	}
}

func TestHostileNames(t *testing.T) {
	for _, w := range written {
		if w.layout == "native" {
			continue
		}
		l := newLayout(t, w.layout, "")
		names := []string{"", ".", "..", "a/b", "/", "a\x00b", "\xff"}
		if w.layout == "lighthouse" {
			names = append(names, "a\nb", "\u0085", "\uf000")
		} else {
			names = append(names, "_a") // hidden by etcd's v2
		}
		for _, name := range names {
			_, err := l.ServicePrefix(name)
			require.ErrorIs(t, err, discovery.ErrInvalid, "%s %q", w.layout, name)
			in := w.instance
			in.Service = name
			_, err = l.Encode(in)
			require.ErrorIs(t, err, discovery.ErrInvalid, "%s service %q", w.layout, name)
			in = w.instance
			switch in.ID = name; w.layout {
			case "totem":
				in.ID = "host:" + name
			case "lighthouse":
				if name != "" && name != "." && name != ".." {
					in.ID = name + ":80"
				}
			}
			_, err = l.Encode(in)
			require.ErrorIs(t, err, discovery.ErrInvalid, "%s ID %q", w.layout, name)
		}
		if w.layout == "skydns" {
			continue // its names are labels of DNS
		}
		for _, name := range []string{"a b", "ü", "%41", "a?b#c", "*", "...", "a_", "-"} {
			in := w.instance
			in.Service = name
			records, err := l.Encode(in)
			require.NoError(t, err)
			read, err := l.Decode(records[0].Key, records[0].Value)
			require.NoError(t, err)
			require.Equal(t, in, read)
		}
	}
	totem := newLayout(t, "totem", "")
	in := written[4].instance
	for _, realm := range []string{"..", "a/b", "_a"} {
		in.Metadata = map[string]string{"realm": realm}
		_, err := totem.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid)
	}
	for _, name := range []string{"containerpilot", "lighthouse"} {
		_, err := newLayout(t, name, "own").ServicePrefix("environment")
		require.ErrorIs(t, err, discovery.ErrInvalid)
		_, err = newLayout(t, name, "").ServicePrefix("environment")
		require.NoError(t, err)
	}
}

// TestUnwritable: what a layout would write as something else.
func TestUnwritable(t *testing.T) {
	for _, w := range written {
		if w.layout == "native" {
			continue
		}
		in := w.instance
		in.Host = "\xff"
		_, err := newLayout(t, w.layout, "").Encode(in)
		if w.layout == "totem" {
			continue // its value is no JSON
		}
		require.ErrorIs(t, err, discovery.ErrInvalid)
	}
	for _, name := range []string{"totem", "containerpilot", "lighthouse"} {
		l := newLayout(t, name, "")
		in := discovery.Instance{ID: "h:1", Service: "web", Host: "10.0.0.5", State: discovery.Passing}
		_, err := l.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, "no port")
		in.Ports = map[string]discovery.Port{"http": {Number: 80}, "https": {Number: 443}}
		_, err = l.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, "two ports")
		in.Ports, in.Host = ports("http", 80), ""
		_, err = l.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, "no host")
	}
}

// lenient are records that their own kind or others of its time wrote, and what they say.
var lenient = []struct {
	layout, key, value string
	host               string
	port               discovery.Port
}{
	{"scalingo", "/services/s/u", `{"name":"h","service_name":"other","user":"","password":"","ports":{"http":"80"},"uuid":"other"}`, "h", discovery.Port{Number: 80, Protocol: "tcp"}},
	{"scalingo", "/services/s/u", `{"name":"h","ports":{"http":80},"private_ports":null,"new":{"a":1}}`, "h", discovery.Port{Number: 80, Protocol: "tcp"}},
	{"scalingo", "/services/s/u", `{"name":"h","ports":{"https":"80443"}}`, "h", discovery.Port{Number: 80443, Protocol: "tcp"}},
	{"totem", "/discover/service/s/r/h/c", "tcp://10.0.0.5:49157/\n", "10.0.0.5", discovery.Port{Number: 49157, Protocol: "tcp"}},
	{"totem", "/discover/service/s/r/h/c", "10.0.0.5:49157", "10.0.0.5", discovery.Port{Number: 49157, Protocol: "tcp"}},
	{"totem", "/discover/service/s/r/h/c", "udp://[fd00::1]:99999", "fd00::1", discovery.Port{Number: 99999, Protocol: "udp"}},
	{"containerpilot", "/containerpilot/s/s-h/service", `{"id":"other","name":"other","address":"a","port":"8000"}`, "a", discovery.Port{Number: 8000, Protocol: "tcp"}},
	{"lighthouse", "/lighthouse/s/h:80", `{"host": "h", "ip": "10.0.1.8", "metadata": "{\"a\": 1, \"b\": \"c\"}", "peer": "{\"ip\": \"10.0.1.8\", \"name\": \"h\", \"port\": 1024}", "port": 80}`, "10.0.1.8", discovery.Port{Number: 80, Protocol: "tcp"}},
	{"lighthouse", "/lighthouse/s/h:80", `{"host": "h", "ip": "10.0.1.8", "metadata": "{}", "port": "6379"}`, "10.0.1.8", discovery.Port{Number: 6379, Protocol: "tcp"}},
	{"native", "/envharness/services/s/i", `{"host":"h","ports":{"http":{"number":80.0}}}`, "h", discovery.Port{Number: 80, Protocol: "tcp"}},
	{"native", "/envharness/services/s/i", `{"host":"h","ports":{"http":8e1}}`, "h", discovery.Port{Number: 80, Protocol: "tcp"}},
	{"native", "/envharness/services/s/i", `{"host":"h","ports":{"http":1e400}}`, "h", discovery.Port{Number: 1<<31 - 1, Protocol: "tcp"}},
	{"lighthouse", "/lighthouse/s/h:80", `{"host": "h", "port": 99999, "peer": null, "new": {}}`, "h", discovery.Port{Number: 99999, Protocol: "tcp"}},
	{"containerpilot", "/containerpilot/s/s-h/service", `{"address":"a","port":0,"tags":[]}`, "a", discovery.Port{Number: 0, Protocol: "tcp"}},
}

func TestLenient(t *testing.T) {
	for _, c := range lenient {
		in, err := newLayout(t, c.layout, "").Decode(c.key, []byte(c.value))
		require.NoError(t, err, c.value)
		require.Equal(t, "s", in.Service)
		require.Equal(t, c.host, in.Host)
		require.Equal(t, discovery.Passing, in.State)
		require.Len(t, in.Ports, 1)
		for _, port := range in.Ports {
			require.Equal(t, c.port, port)
		}
		require.Empty(t, in.Tags)
	}
	in, err := newLayout(t, "scalingo", "").Decode("/services/s/u", []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, discovery.Instance{ID: "u", Service: "s", State: discovery.Passing}, in)
	in, err = newLayout(t, "lighthouse", "").Decode("/lighthouse/s/h:80", []byte(`{"port":80,"metadata":"{\"a\": 1, \"b\": \"c\"}"}`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "c"}, in.Metadata)
}

// TestMalformed: one malformed record is skipped with a warning that shows no part of its value.
func TestMalformed(t *testing.T) {
	const canary = "canary-d6b1f2"
	malformed := map[string][]layout.Record{
		"native":         {{Key: "/envharness/services/web/b", Value: []byte(`{"password":"` + canary)}},
		"scalingo":       {{Key: "/services/s/b", Value: []byte(`{"name":1,"password":"` + canary + `"}`)}, {Key: "/services/s/c", Value: []byte(`{"ports":{"http":"` + canary + `"}}`)}, {Key: "/services/s/d/e", Value: []byte(`{}`)}, {Key: "/services/s/f", Value: []byte(`null`)}, {Key: "/services/s", Value: []byte(canary)}},
		"totem":          {{Key: "/discover/service/web/r/h/b", Value: []byte(canary)}, {Key: "/discover/service/web/r/h", Value: []byte("tcp://h:1")}, {Key: "/discover/service/web/r/h/b", Value: []byte("tcp://u:" + canary + "@h:1")}, {Key: "/discover/service/web/r/h/b", Value: []byte("tcp://h:" + canary)}, {Key: "/discover/service/web/r/h/b:c", Value: []byte("tcp://h:1")}},
		"containerpilot": {{Key: "/containerpilot/app/b/service", Value: []byte(canary)}, {Key: "/containerpilot/app/b", Value: []byte(`{}`)}, {Key: "/containerpilot/app/b/service", Value: []byte(`{"port":"` + canary + `"}`)}, {Key: "/containerpilot/app/b/service", Value: []byte(`[]`)}},
		"lighthouse":     {{Key: "/lighthouse/redis/h:1", Value: []byte(canary)}, {Key: "/lighthouse/redis/h:1", Value: []byte(`{"ip":"h"}`)}, {Key: "/lighthouse/redis/h:1", Value: []byte(`{"port":"` + canary + `"}`)}, {Key: "/lighthouse/redis/h:1", Value: []byte(`{"port":1,"metadata":"` + canary + `"}`)}, {Key: "/lighthouse/redis/h:1", Value: []byte(`{"port":1,"metadata":{"a":"` + canary + `"}}`)}, {Key: "/lighthouse/redis/h:1/deep", Value: []byte(`{"port":1}`)}},
		"skydns":         {{Key: "/skydns/local/cluster/web/b", Value: []byte(canary)}, {Key: "/skydns/local/cluster/web/b", Value: []byte(`{"port":80}`)}, {Key: "/skydns/local/cluster/web/b", Value: []byte(`{"host":"h","port":"` + canary + `"}`)}, {Key: "/skydns/local/cluster/web/b", Value: []byte(`null`)}},
	}
	for _, w := range written {
		l := newLayout(t, w.layout, "")
		good := golden(t, w.golden)[0]
		require.NotEmpty(t, malformed[w.layout])
		for _, bad := range malformed[w.layout] {
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			require.Equal(t, []discovery.Instance{w.instance}, layout.Decode(l, logger, []layout.Record{bad, good, bad}), "%s", bad.Key)
			require.Equal(t, []string{w.instance.Service}, layout.Services(l, logger, []layout.Record{bad, good, bad}))
			require.Equal(t, 4, strings.Count(log.String(), "level=WARN"), log.String())
			require.Contains(t, log.String(), bad.Key)
			require.NotContains(t, log.String(), canary)
			_, err := l.Decode(bad.Key, bad.Value)
			require.ErrorIs(t, err, discovery.ErrInvalid)
			_, err = l.Decode("/elsewhere/"+bad.Key, bad.Value)
			require.ErrorIs(t, err, discovery.ErrInvalid)
		}
	}
	var log bytes.Buffer
	l := newLayout(t, "containerpilot", "pilot")
	logger := slog.New(slog.NewTextHandler(&log, nil))
	require.Empty(t, layout.Decode(l, logger, []layout.Record{
		{Key: "/pilot/app/app-h/health", Value: []byte("ok")},
		{Key: "/pilot/environment/NAME", Value: []byte("value")},
	}))
	require.Empty(t, log.String())
}

func FuzzDecode(f *testing.F) {
	for i, name := range names {
		for _, w := range written {
			if w.layout == name {
				l := newLayout(f, name, "")
				records, err := l.Encode(w.instance)
				require.NoError(f, err)
				f.Add(i, records[0].Key, records[0].Value)
			}
		}
		for _, c := range lenient {
			f.Add(i, c.key, []byte(c.value))
		}
	}
	f.Fuzz(func(t *testing.T, which int, key string, value []byte) {
		l := newLayout(t, names[(which%len(names)+len(names))%len(names)], "")
		if s, ok := l.(layout.Scalingo); ok {
			_, _ = s.DecodeInfo("s", value)
		}
		if totem, ok := l.(layout.Totem); ok {
			_, _ = totem.JoinHost(value, written[4].instance)
			_, _ = totem.LeaveHost(value, written[4].instance)
		}
		in, err := l.Decode(key, value)
		if err != nil {
			return
		}
		records, err := l.Encode(in)
		if err != nil {
			require.ErrorIs(t, err, discovery.ErrInvalid)
			return
		}
		if len(records) == 0 {
			return
		}
		again, err := l.Decode(records[0].Key, records[0].Value)
		require.NoError(t, err)
		require.Equal(t, in.Service, again.Service)
		require.Equal(t, in.ID, again.ID)
		require.Equal(t, in.Host, again.Host)
		require.Equal(t, len(in.Ports), len(again.Ports))
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(0, "web", "a", "10.0.0.5", "p", "http", 80, true)
	f.Add(1, "s", "", "public.dev", "", "", 1, false)
	f.Add(2, "web", "h:c", "fd00::1", "", "default", 65535, true)
	f.Add(3, "app", "app-h", "h", "<&>\"\\", "x", 8000, true)
	f.Add(4, "redis", "h:6379", "10.0.1.8", "", "x", 6379, true)
	f.Fuzz(func(t *testing.T, which int, service, id, host, text, portName string, number int, public bool) {
		name := names[(which%len(names)+len(names))%len(names)]
		l := newLayout(t, name, "")
		in := discovery.Instance{
			ID: id, Service: service, Host: host, User: text, Password: discovery.Secret(text), Shard: text,
			Ports: map[string]discovery.Port{portName: {Number: number}}, Public: public,
		}
		in, err := in.Normalize()
		if err != nil {
			return
		}
		in, err = l.Identify(in)
		require.NoError(t, err)
		records, err := l.Encode(in)
		if err != nil {
			require.ErrorIs(t, err, discovery.ErrInvalid)
			return
		}
		require.Len(t, records, 1)
		read, err := l.Decode(records[0].Key, records[0].Value)
		require.NoError(t, err)
		switch name {
		case "native":
			return // JSON that is no UTF-8 is not its matter here
		case "totem":
			in = discovery.Instance{ID: in.ID, Service: in.Service, Host: in.Host, Metadata: map[string]string{"realm": "default"}, Ports: in.Ports, State: in.State}
		case "containerpilot", "lighthouse":
			in = discovery.Instance{ID: in.ID, Service: in.Service, Host: in.Host, Ports: in.Ports, State: in.State}
		}
		if name != "scalingo" {
			for _, port := range in.Ports {
				in.Ports = map[string]discovery.Port{"default": port}
			}
		}
		require.Equal(t, in, read)
	})
}
