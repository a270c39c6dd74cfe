package discovery_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func TestURL(t *testing.T) {
	ports := func(names ...string) map[string]discovery.Port {
		all := map[string]discovery.Port{}
		for i, name := range names {
			all[name] = discovery.Port{Number: 80 + i, Protocol: "tcp"}
		}
		return all
	}
	for _, c := range []struct {
		in           discovery.Instance
		scheme, path string
		want         string
		err          error
	}{
		{discovery.Instance{Host: "h", Ports: ports("http", "stats")}, "http", "/", "http://h:80/", nil},
		{discovery.Instance{Host: "h", Ports: ports("http", "stats")}, "stats", "", "stats://h:81", nil},
		{discovery.Instance{Host: "h", Ports: ports("http")}, "https", "a?b=c", "https://h:80/a?b=c", nil},
		{discovery.Instance{Host: "h", Ports: ports("http")}, "https", "?b=c", "https://h:80?b=c", nil},
		{discovery.Instance{Host: "h", Ports: ports("default")}, "redis", "/0", "redis://h:80/0", nil},
		{discovery.Instance{Host: "h", Ports: ports("default", "http")}, "", "/", "//h:80/", nil},
		{discovery.Instance{Host: "::1", Ports: ports("http")}, "http", "/", "http://[::1]:80/", nil},
		{discovery.Instance{Host: "h", User: "u", Password: "p@/:%", Ports: ports("x")}, "x", "/", "x://u:p%40%2F%3A%25@h:80/", nil},
		{discovery.Instance{Host: "h", User: "u", Ports: ports("x")}, "x", "/", "x://u@h:80/", nil},
		{discovery.Instance{Host: "h", Password: "p", Ports: ports("x")}, "x", "/", "x://:p@h:80/", nil},
		{discovery.Instance{Host: "h", Ports: ports("a", "b")}, "http", "/", "", discovery.ErrUnknownScheme},
		{discovery.Instance{Host: "h"}, "http", "/", "", discovery.ErrUnknownScheme},
		{discovery.Instance{Ports: ports("http")}, "http", "/", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "h/evil", Ports: ports("http")}, "http", "/", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "u@h", Ports: ports("http")}, "http", "/", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "h", Ports: ports("http")}, "a b", "/", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "h", Ports: ports("http")}, "http", "/a b/é%20?q=x y", "http://h:80/a%20b/%C3%A9%20?q=x%20y", nil},
		{discovery.Instance{Host: "h", Ports: ports("http")}, "http", "/a\nb", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "h", Ports: map[string]discovery.Port{"http": {Number: 65536}}}, "http", "/", "", discovery.ErrInvalid},
		{discovery.Instance{Host: "h", Ports: map[string]discovery.Port{"http": {Number: -1}}}, "http", "/", "", discovery.ErrInvalid},
	} {
		got, err := c.in.URL(c.scheme, c.path)
		require.ErrorIs(t, err, c.err, "%+v", c)
		require.Equal(t, c.want, got)
	}
	private := discovery.Instance{Host: "h", PrivateHost: "p", Ports: ports("http"), PrivatePorts: map[string]discovery.Port{"http": {Number: 8080}}}
	got, err := private.PrivateURL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://p:8080/", got)
	got, err = discovery.Instance{Host: "h", Ports: ports("http")}.PrivateURL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://h:80/", got)
}

func TestSnapshotURLOfAPublicService(t *testing.T) {
	public := discovery.Instance{Host: "public", Ports: map[string]discovery.Port{"http": {Number: 1}}}
	one := discovery.Instance{ID: "a", Host: "one", Shard: "s", State: discovery.Passing, Ports: map[string]discovery.Port{"http": {Number: 2}}}
	snapshot := discovery.NewSnapshot("web", "", discovery.Query{}, []discovery.Instance{one})
	snapshot.Public = &public
	got, err := snapshot.URL("http", "")
	require.NoError(t, err)
	require.Equal(t, "http://public:1", got)
	snapshot.Query.Shard = "s"
	got, err = snapshot.URL("http", "")
	require.NoError(t, err)
	require.Equal(t, "http://one:2", got)
}

// What no address can be made of is never chosen while there is another.
func TestURLChoosesTheUsable(t *testing.T) {
	port := func(name string, number int) map[string]discovery.Port {
		return map[string]discovery.Port{name: {Number: number, Protocol: "tcp"}}
	}
	all := []discovery.Instance{
		{ID: "a", Host: "evil com", Ports: port("http", 80)},
		{ID: "b", Host: "high", Ports: port("http", 99999)},
		{ID: "c", Ports: port("http", 80)},
		{ID: "d", Host: "two", Ports: map[string]discovery.Port{"x": {Number: 1}, "y": {Number: 2}}},
		{ID: "e", Host: "only", Ports: port("admin", 9000)},
		{ID: "f", Host: "good", Ports: port("http", 80)},
		{ID: "g", Host: "nameless", Ports: port("default", 80), PrivateHost: "near,by"},
	}
	for i := range all {
		all[i].State = discovery.Passing
	}
	seen, private := map[string]bool{}, map[string]bool{}
	snapshot := discovery.NewSnapshot("web", "", discovery.Query{}, all)
	for range 200 {
		got, err := snapshot.URL("http", "")
		require.NoError(t, err)
		seen[got] = true
		got, err = snapshot.PrivateURL("http", "")
		require.NoError(t, err)
		private[got] = true
	}
	require.Equal(t, map[string]bool{"http://good:80": true, "http://nameless:80": true}, seen)
	require.Equal(t, map[string]bool{"http://good:80": true}, private)
	got, err := discovery.NewSnapshot("web", "", discovery.Query{}, all[:5]).URL("http", "")
	require.NoError(t, err, "an only port serves any scheme")
	require.Equal(t, "http://only:9000", got)
	_, err = discovery.NewSnapshot("web", "", discovery.Query{}, all[:1]).URL("http", "")
	require.ErrorIs(t, err, discovery.ErrInvalid)
	require.ErrorContains(t, err, "evil com")
}

func TestHosts(t *testing.T) {
	for host, good := range map[string]bool{
		"web": true, "web.internal.": true, "my_host": true, "10.0.0.5": true, "fd00::5": true, "fe80::1%eth0": true, "xn--bcher-kva.example": true,
		"evil com": false, "a..b": false, ".": false, "a/b": false, "u@h": false, "h:80": false, "[::1]": false, "10.0.0.5:80": false,
		"b\u00fccher.example": false, "a\nb": false, "a,b": false, "%41": false,
	} {
		_, err := discovery.Instance{Service: "web", Host: host}.Normalize()
		require.Equal(t, good, err == nil, "%q: %v", host, err)
		_, err = discovery.Instance{Service: "web", PrivateHost: host}.Normalize()
		require.Equal(t, good, err == nil, "%q: %v", host, err)
	}
}

func TestOneIsUniform(t *testing.T) {
	all := []discovery.Instance{{ID: "b", State: discovery.Passing}, {ID: "a", State: discovery.Passing}}
	snapshot := discovery.NewSnapshot("web", "", discovery.Query{}, all)
	counts := map[string]int{}
	for range 10000 {
		in, err := snapshot.One()
		require.NoError(t, err)
		counts[in.ID]++
	}
	require.InDelta(t, 5000, counts["a"], 500) // ten standard deviations
	first, err := snapshot.First()
	require.NoError(t, err)
	require.Equal(t, "a", first.ID)
}

func TestNeverMatchesNotFound(t *testing.T) {
	snapshot := discovery.Snapshot{Service: "web", Never: true}
	_, err := snapshot.First()
	require.ErrorIs(t, err, discovery.ErrNoInstance)
	require.ErrorIs(t, err, discovery.ErrNotFound)
	require.NotErrorIs(t, err, discovery.ErrNoInstanceOnShard)
	require.Contains(t, err.Error(), `"web"`)
}

func TestNormalize(t *testing.T) {
	in, err := discovery.Instance{Service: "web", Ports: map[string]discovery.Port{"": {Number: 80}}}.Normalize()
	require.NoError(t, err)
	require.Equal(t, map[string]discovery.Port{"default": {Number: 80, Protocol: "tcp"}}, in.Ports)
	require.Equal(t, discovery.Passing, in.State)
	_, err = discovery.Instance{Service: "web", Ports: map[string]discovery.Port{"": {Number: 80}, "default": {Number: 81}}}.Normalize()
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

func TestSecretsDoNotPrint(t *testing.T) {
	const canary = "canary"
	in := discovery.Instance{Service: "web", User: "u", Password: canary}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "instance", in, "credentials", in.Credentials(), "password", in.Password)
	for _, text := range []string{
		fmt.Sprint(in), fmt.Sprintf("%+v %#v %s %q", in, in, in.Password, in.Password), fmt.Sprint(in.Credentials()), log.String(),
	} {
		require.NotContains(t, text, canary)
	}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	require.Contains(t, string(data), canary, "the record holds the password itself")
}

func TestUnknownFieldsAreKept(t *testing.T) {
	var in discovery.Instance
	require.NoError(t, json.Unmarshal([]byte(`{"id":"a","service":"web","Host":"no","future":{"x":[1]}}`), &in))
	require.Empty(t, in.Host, "names are exact")
	data, err := json.Marshal(discovery.Instance{ID: "a", Service: "web"}.KeepUnknown(in))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"a","service":"web","Host":"no","future":{"x":[1]}}`, string(data))
}
