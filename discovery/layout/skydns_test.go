package layout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func newSkyDNS(t *testing.T, prefix string) SkyDNS {
	s, err := NewSkyDNS(prefix, "host-1.example")
	require.NoError(t, err)
	return s
}

// The keys and fields are those of CoreDNS' plugin etcd.
func TestSkyDNSGolden(t *testing.T) {
	s := newSkyDNS(t, "cluster.local")
	in := discovery.Instance{
		ID: "a", Service: "web", Host: "10.0.0.5", State: discovery.Passing,
		Ports: map[string]discovery.Port{"default": {Number: 8080, Protocol: "tcp"}},
	}
	records, err := s.Encode(in)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, "/skydns/local/cluster/web/a", records[0].Key)
	require.Equal(t, `{"host":"10.0.0.5","port":8080,"ttl":10}`, string(records[0].Value))

	in.Ports = map[string]discovery.Port{"http": {Number: 80, Protocol: "tcp"}, "dns": {Number: 53, Protocol: "udp"}}
	in.Tags, in.Shard, in.User, in.Password = []string{"blue"}, "s0", "u", "secret"
	records, err = s.Encode(s.WithTTL(in, 3))
	require.NoError(t, err)
	texts := map[string]string{}
	for _, record := range records {
		texts[record.Key] = string(record.Value)
	}
	require.Equal(t, map[string]string{
		"/skydns/local/cluster/web/a": `{"host":"10.0.0.5","ports":{"dns":{"number":53,"protocol":"udp"},"http":{"number":80,"protocol":"tcp"}},` +
			`"tags":["blue"],"shard":"s0","port":53,"ttl":3}`,
		"/skydns/local/cluster/web/_udp/_dns/a":  `{"host":"a.web.cluster.local","port":53,"ttl":3}`,
		"/skydns/local/cluster/web/_tcp/_http/a": `{"host":"a.web.cluster.local","port":80,"ttl":3}`,
	}, texts)
	got, err := s.Decode(records[0].Key, records[0].Value)
	require.NoError(t, err)
	want := in
	want.User, want.Password, want.Unknown = "", "", map[string]discovery.RawField{"ttl": discovery.RawField("3")}
	require.Equal(t, want, got)

	in.State = discovery.Failing
	records, err = s.Encode(in)
	require.NoError(t, err)
	require.Empty(t, records, "DNS has no states")

	records, err = newSkyDNS(t, "/mydns/x/test/").Encode(discovery.Instance{ID: "a", Service: "web", Host: "h", State: discovery.Passing})
	require.NoError(t, err)
	require.Equal(t, Record{Key: "/mydns/x/test/web/a", Value: []byte(`{"host":"h","ttl":10}`)}, records[0])
}

// Records of others are read, with all that CoreDNS knows; those that are no instances are left alone.
func TestSkyDNSForeign(t *testing.T) {
	s := newSkyDNS(t, "test")
	in, err := s.Decode("/skydns/test/web/x1", []byte(`{"host":"web.example","port":80,"priority":20,"weight":5,"group":"g"}`))
	require.NoError(t, err)
	require.Equal(t, ports("default", 80), in.Ports)
	require.Equal(t, "web.example", in.Host)
	updated, err := s.Encode(discovery.Instance{ID: "x1", Service: "web", Host: "h", State: discovery.Passing}.KeepUnknown(in))
	require.NoError(t, err)
	require.JSONEq(t, `{"host":"h","priority":20,"weight":5,"group":"g","ttl":10}`, string(updated[0].Value))
	in, err = s.Decode("/skydns/test/web/x1", []byte(`{"host":"10.0.0.5"}`))
	require.NoError(t, err)
	require.Nil(t, in.Ports)

	for key, value := range map[string]string{
		"/skydns/test/x5": `{"host":"h"}`, "/skydns/test/dns/apex": `{"host":"h"}`, "/skydns/test/dns/apex/x1": `{"host":"h"}`,
		"/skydns/test/web/_tcp/_http/a": `{"host":"h","port":80}`, "/skydns/test/web/t": `{"text":"hello"}`,
		"/skydns/test/web/m": `{"host":"h","mail":true}`, "/skydns/test/a/b/c": `nonsense`,
	} {
		_, err := s.Decode(key, []byte(value))
		require.ErrorIs(t, err, ErrForeign, key)
	}
	for _, value := range []string{"", "null", "[]", "5", "{}", `{"port":80}`, `{"host":5}`, `{"host":"h","port":"eighty"}`, `{"host":"h","ports":5}`} {
		_, err := s.Decode("/skydns/test/web/x", []byte(value))
		require.ErrorIs(t, err, discovery.ErrInvalid, value)
	}
}

// What DNS cannot say is refused before it is written.
func TestSkyDNSInvalid(t *testing.T) {
	for _, prefix := range []string{"", "/", "a..b", "A.test", "_x.test", "a b", "any.test", strings.Repeat("x", 64)} {
		_, err := NewSkyDNS(prefix, "")
		require.ErrorIs(t, err, discovery.ErrInvalid, prefix)
	}
	s := newSkyDNS(t, "test")
	good := discovery.Instance{ID: "a", Service: "web", Host: "10.0.0.5", State: discovery.Passing}
	for _, name := range []string{"", ".", "..", "a/b", "a\x00", "a.b", "Web", "_a", "*", "any", "ü", "a b", strings.Repeat("x", 64)} {
		in := good
		in.Service = name
		_, err := s.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, name)
		in = good
		if in.ID = name; name != "" {
			_, err = s.Encode(in)
			require.ErrorIs(t, err, discovery.ErrInvalid, name)
		}
		in = good
		in.Ports = map[string]discovery.Port{name: {Number: 80}}
		_, err = s.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, name)
	}
	for _, host := range []string{"", "fe80::1%eth0"} {
		in := good
		in.Host = host
		_, err := s.Encode(in)
		require.ErrorIs(t, err, discovery.ErrInvalid, host)
	}
	in := good
	in.Service = "dns"
	_, err := s.Encode(in)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	long := newSkyDNS(t, strings.TrimSuffix(strings.Repeat(strings.Repeat("z", 60)+".", 4), "."))
	in = good
	in.ID = strings.Repeat("i", 40)
	_, err = long.Encode(in)
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

// The ID that the layout makes is a label, and the same after a restart.
func TestSkyDNSIdentify(t *testing.T) {
	s := newSkyDNS(t, "test")
	in := discovery.Instance{Service: "web", Host: "h", Ports: ports("http", 8080)}
	for range 2 {
		got, err := s.Identify(in)
		require.NoError(t, err)
		require.Equal(t, "web-host-1-example-8080", got.ID)
	}
	s.hostname = strings.Repeat("long.", 30)
	one, err := s.Identify(in)
	require.NoError(t, err)
	require.NoError(t, validLabel(one.ID))
	in.Ports = ports("http", 8081)
	two, err := s.Identify(in)
	require.NoError(t, err)
	require.NotEqual(t, one.ID, two.ID)
	s.hostname = ""
	one, err = s.Identify(in)
	require.NoError(t, err)
	require.NoError(t, validLabel(one.ID))
}

func ports(name string, number int) map[string]discovery.Port {
	return map[string]discovery.Port{name: {Number: number, Protocol: "tcp"}}
}

func FuzzSkyDNS(f *testing.F) {
	f.Add("web/a", `{"host":"10.0.0.5","port":80,"ttl":10}`)
	f.Add("web/_tcp/_http/a", `{"host":"a.web.test","port":80}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		s := newSkyDNS(t, "test")
		in, err := s.Decode("/skydns/test/"+key, []byte(value))
		if err != nil {
			return
		}
		records, err := s.Encode(in)
		if err != nil || len(records) == 0 {
			return
		}
		require.True(t, json.Valid(records[0].Value))
		again, err := s.Decode(records[0].Key, records[0].Value)
		require.NoError(t, err)
		require.Equal(t, in.Host, again.Host)
	})
}
