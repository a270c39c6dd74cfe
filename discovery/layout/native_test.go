package layout_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

func TestNativeGolden(t *testing.T) {
	golden, err := os.ReadFile("testdata/native.json")
	require.NoError(t, err)
	in := discovery.Instance{
		ID: "one/two", Service: "web_app", Host: "10.0.0.5", PrivateHost: "node-1.internal",
		Ports:        map[string]discovery.Port{"http": {Number: 80, Protocol: "tcp"}},
		PrivatePorts: map[string]discovery.Port{"http": {Number: 8080, Protocol: "tcp"}},
		User:         "u", Password: "p", Tags: []string{"blue"}, Metadata: map[string]string{"version": "1.2"},
		Shard: "s0", State: discovery.Passing, Critical: true, Public: true,
	}
	native := layout.Native("")
	records, err := native.Encode(in)
	require.NoError(t, err)
	require.Equal(t, []layout.Record{{
		Key:   "/envharness/services/web_app/one%2Ftwo",
		Value: bytes.TrimSpace(golden),
	}}, records)
	got, err := native.Decode(records[0].Key, records[0].Value)
	require.NoError(t, err)
	require.Equal(t, in, got)

	in.State, in.Reason = discovery.Failing, "exit status 1: no replica"
	records, err = native.Encode(in)
	require.NoError(t, err)
	require.Contains(t, string(records[0].Value), `"state":"failing","reason":"exit status 1: no replica","critical"`)
	got, err = native.Decode(records[0].Key, records[0].Value)
	require.NoError(t, err)
	require.Equal(t, in, got)

	least, err := native.Encode(discovery.Instance{ID: "a", Service: "b"})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"a","service":"b"}`, string(least[0].Value), "empty fields are left out")
}

func TestNativeReadsLeniently(t *testing.T) {
	native := layout.Native("/x/y/")
	got, err := native.Decode("/x/y/services/web/a", []byte(`{"id":"lie","service":"lie","ports":{"a":80,"b":"81","c":{"number":"82"},"d":{"number":70000}},
		"tags":null,"metadata":{"n":1,"o":{"x":[1]}},"future":true}`))
	require.NoError(t, err)
	require.Equal(t, discovery.Instance{
		ID: "a", Service: "web", State: discovery.Passing,
		Ports: map[string]discovery.Port{
			"a": {Number: 80, Protocol: "tcp"}, "b": {Number: 81, Protocol: "tcp"},
			"c": {Number: 82, Protocol: "tcp"}, "d": {Number: 70000, Protocol: "tcp"},
		},
		Metadata: map[string]string{"n": "1", "o": `{"x":[1]}`},
		Unknown:  map[string]discovery.RawField{"future": json.RawMessage("true")},
	}, got)
}

func TestNativeSkipsMalformed(t *testing.T) {
	const canary = "canary"
	var log bytes.Buffer
	records := []layout.Record{
		{Key: "/envharness/services/web/a", Value: []byte(`{"password":"canary","ports":{"x":"canary"}}`)},
		{Key: "/envharness/services/web/b", Value: []byte(`{"password":"canary`)},
		{Key: "/envharness/services/web/c", Value: []byte(`"canary"`)},
		{Key: "/envharness/services/web/%zz", Value: []byte(`{}`)},
		{Key: "/envharness/services/web/a%5Fb", Value: []byte(`{}`)},
		{Key: "/envharness/services/web/a/b", Value: []byte(`{}`)},
		{Key: "/elsewhere", Value: []byte(`{}`)},
		{Key: "/envharness/services/web/good", Value: []byte(`{}`)},
	}
	got := layout.Decode(layout.Native(""), slog.New(slog.NewTextHandler(&log, nil)), records)
	require.Len(t, got, 1)
	require.Equal(t, "good", got[0].ID)
	require.Equal(t, 7, bytes.Count(log.Bytes(), []byte("level=WARN")))
	require.NotContains(t, log.String(), canary)
}

func TestKeys(t *testing.T) {
	keys := layout.NewKeys("a/b")
	key, err := keys.ValueKey("_DATABASE_URL")
	require.NoError(t, err)
	require.Equal(t, "/a/b/environment/_DATABASE_URL", key)
	name, err := keys.ValueName(key)
	require.NoError(t, err)
	require.Equal(t, "_DATABASE_URL", name)
	key, err = keys.CredentialsKey(".x")
	require.NoError(t, err)
	require.Equal(t, "/a/b/credentials/%2Ex", key)
	key, err = keys.ElectionKey("NAME")
	require.NoError(t, err)
	require.Equal(t, "/a/b/director/NAME", key)
	for _, bad := range []string{"", "A-B", "1"} {
		_, err = keys.ValueKey(bad)
		require.ErrorIs(t, err, discovery.ErrInvalid)
		_, err = keys.ElectionKey(bad)
		require.ErrorIs(t, err, discovery.ErrInvalid)
	}
	_, err = keys.CredentialsKey("")
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

// etcd v2 hides keys that begin with _, so there, and only there, that one is escaped.
func TestKeysOfV2(t *testing.T) {
	for _, name := range []string{"native", "scalingo", "totem", "containerpilot"} {
		l, err := layout.NewV2(name, "p", "")
		require.NoError(t, err)
		for value, segment := range map[string]string{"_DATABASE_URL": "%5FDATABASE_URL", "A_B": "A_B"} {
			key, err := l.ValueKey(value)
			require.NoError(t, err)
			require.Equal(t, "/p/environment/"+segment, key)
			back, err := l.ValueName(key)
			require.NoError(t, err)
			require.Equal(t, value, back)
		}
		_, err = l.ValueName("/p/environment/_A")
		require.ErrorIs(t, err, discovery.ErrInvalid)
	}
}

func FuzzEscape(f *testing.F) {
	for _, name := range []string{"a", ".", "..", "_x", "a/b", "%41", "\x00\xff", "ü"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		segment := layout.Escape(name)
		require.NotContains(t, segment, "/")
		require.NotEqual(t, byte('.'), segment[0])
		back, err := layout.Unescape(segment)
		require.NoError(t, err)
		require.Equal(t, name, back)
		if plain, err := layout.Unescape(name); err == nil {
			require.Equal(t, name, layout.Escape(plain), "a name has one key only")
		}
	})
}

// FuzzNative: what is read of anything can be written, and is then read as the same.
func FuzzNative(f *testing.F) {
	golden, err := os.ReadFile("testdata/native.json")
	require.NoError(f, err)
	f.Add("web", "a", golden)
	f.Add("\x00", "/", []byte(`{"ports":{"":1},"x":null,"metadata":{"a":null}}`))
	f.Fuzz(func(t *testing.T, service, id string, value []byte) {
		if service == "" || id == "" {
			return
		}
		native := layout.Native("p")
		key := "/p/services/" + layout.Escape(service) + "/" + layout.Escape(id)
		in, err := native.Decode(key, value)
		if err != nil {
			return
		}
		require.Equal(t, service, in.Service)
		require.Equal(t, id, in.ID)
		records, err := native.Encode(in)
		require.NoError(t, err)
		require.Equal(t, key, records[0].Key)
		again, err := native.Decode(key, records[0].Value)
		require.NoError(t, err)
		first, err := json.Marshal(in)
		require.NoError(t, err)
		second, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(first), string(second))
		_, _ = in.URL("http", "/")
	})
}
