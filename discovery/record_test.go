package discovery

import (
	"cmp"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzEachField: our own reader of objects finds what encoding/json finds.
func FuzzEachField(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a" : "x\\\"}" , "b":[{"c":[]},2] ,"":null}`, `{"a":true,"a":-1.5e3}`, `[]`, `1`, `"x"`, `null`, `{"\u0041\xff":{}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		got := map[string]json.RawMessage{}
		err := eachField(data, func(name string, raw RawField) error {
			require.True(t, json.Valid(raw), "%q", raw)
			got[name] = raw
			return nil
		})
		if wantErr != nil || want == nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, len(want), len(got))
		for name, raw := range want {
			require.JSONEq(t, string(raw), string(got[name]))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(`{"id":"one","service":"web","host":"10.0.0.5","ports":{"http":{"number":80,"protocol":"tcp"}},"tags":["blue"],"metadata":{"version":"1.2"},"state":"passing"}`)
	for b.Loop() {
		var in Instance
		require.NoError(b, json.Unmarshal(data, &in))
	}
}

// FuzzScanRecord: a record that is read the short way is what encoding/json makes of it, and what the long way makes
// of it; one that MarshalJSON has written of plain texts is read the short way.
func FuzzScanRecord(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"id":"a","service":"b","host":"10.0.0.5","private_host":"x","user":"u","password":"p","shard":"s","state":"failing","reason":"r","critical":true,"public":false}`,
		`{"ports":{"http":{"number":80,"protocol":"tcp"},"dns":{"number":53,"protocol":"udp"}},"private_ports":{"":{"number":0}}}`,
		`{"tags":["a","b"],"metadata":{"a":"1","b":"2"}}`, `{"tags":[],"metadata":{},"ports":{}}`, `{"state":""}`,
		`{"id":"a","id":"b"}`, `{"id":null}`, `{"tags":["a",]}`, `{"ports":{"a":80}}`, `{"id":"\u0041"}`, `{ "id":"a"}`, `{"id":"a"} `,
		`{"id":"ä"}`, `{"ID":"a"}`, `{"x":1}`, `{"ports":{"a":{"number":07}}}`, `{"ports":{"a":{"number":1,"protocol":""}}}`, `{"metadata":{"a":"1","a":"2"}}`,
		`{"tags":[,"a"]}`, `{,"id":"a"}`, `{"id"`, `{"id":"a`, `{"critical":truefalse}`, `{"ports":{"a":{"number":99999999999}}}`,
	} {
		f.Add([]byte(text))
	}
	reader := NewRecordReader()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, usual := (RecordReader{}).scan("web", "one", data)
		if !usual {
			return
		}
		long, err := readRecord(data)
		require.NoError(t, err)
		require.Equal(t, long, got)
		require.Equal(t, byEncodingJSON(t, data), got)
		for range 2 { // the second time what is shared comes from the table
			read, err := reader.Read(long.Service, long.ID, data)
			require.NoError(t, err)
			require.Equal(t, long, read)
		}
		written, err := json.Marshal(got)
		require.NoError(t, err)
		if string(written) == string(data) {
			return
		}
		again, err := reader.Read(got.Service, got.ID, written)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

// byEncodingJSON reads a record with nothing odd in it by reflection.
func byEncodingJSON(t *testing.T, data []byte) Instance {
	t.Helper()
	var r record
	require.NoError(t, json.Unmarshal(data, &r))
	for _, ports := range []*map[string]Port{&r.Ports, &r.PrivatePorts} {
		for name, port := range *ports {
			(*ports)[name] = Port{port.Number, cmp.Or(port.Protocol, "tcp")}
		}
		if len(*ports) == 0 {
			*ports = nil
		}
	}
	if len(r.Tags) == 0 {
		r.Tags = nil
	}
	if len(r.Metadata) == 0 {
		r.Metadata = nil
	}
	return Instance{
		r.ID, r.Service, r.Host, r.PrivateHost, r.Ports, r.PrivatePorts, r.User, r.Password,
		r.Tags, r.Metadata, r.Shard, cmp.Or(r.State, Passing), r.Reason, r.Critical, r.Public, nil,
	}
}

// A part that is like that of the record before is not read again, and what only begins like it is.
func TestPartsThatAreAlike(t *testing.T) {
	reader := NewRecordReader()
	for _, text := range []string{
		`{"ports":{"http":{"number":80}},"tags":["a"],"metadata":{"a":"1"}}`,
		`{"ports":{"http":{"number":80}},"tags":["a"],"metadata":{"a":"1"}}`,
		`{"tags":["a","b"],"metadata":{"a":"1","b":"2"},"ports":{"http":{"number":80},"dns":{"number":53}}}`,
		`{"tags":["a","b"],"metadata":{"a":"12"},"private_ports":{"http":{"number":80},"dns":{"number":53}},"ports":{"http":{"number":8}}}`,
		`{"tags":["a","b"]]}`, `{"tags":["a","b"]`, `{"metadata":{"a":"12"}x}`,
	} {
		want, wantErr := readRecord([]byte(text))
		got, err := reader.Read(want.Service, want.ID, []byte(text))
		require.Equal(t, wantErr, err, text)
		if err == nil {
			require.Equal(t, want, got, text)
		}
	}
}

// The short way knows all fields.
func TestScanKnowsAllFields(t *testing.T) {
	in := Instance{
		ID: "one", Service: "web", Host: "h", PrivateHost: "p", Ports: map[string]Port{"http": {80, "tcp"}, "dns": {53, "udp"}},
		PrivatePorts: map[string]Port{"http": {81, "tcp"}}, User: "u", Password: "p", Tags: []string{"a", "b"},
		Metadata: map[string]string{"a": "1", "b": "2"}, Shard: "s", State: Failing, Reason: "r", Critical: true, Public: true,
	}
	fields := reflect.ValueOf(in)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		require.Equal(t, name == "Unknown", fields.Field(i).IsZero(), "%s is to be set here, and read by scan", name)
	}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	got, usual := (RecordReader{}).scan("", "", data)
	require.True(t, usual)
	require.Equal(t, in, got)
}

// What a registry holds is mostly as MarshalJSON writes it: that is read the short way, and equal parts are shared.
func TestUsualRecordsShare(t *testing.T) {
	in := Instance{
		ID: "one", Service: "web", Host: "10.0.0.5", Ports: map[string]Port{"http": {80, "tcp"}},
		Tags: []string{"blue"}, Metadata: map[string]string{"version": "1.2"}, Password: "secret", State: Failing, Critical: true,
	}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	got, usual := (RecordReader{}).scan("web", "one", data)
	require.True(t, usual)
	require.Equal(t, in, got)

	reader := NewRecordReader()
	read := func() {
		got, err = reader.Read("web", "one", data)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, read), 3.0, "host, password and state are its own, and nothing else")
	require.NoError(t, err)
	require.Equal(t, in, got)

	// Who reads by encoding/json has all to himself.
	var one, two Instance
	require.NoError(t, json.Unmarshal(data, &one))
	require.NoError(t, json.Unmarshal(data, &two))
	one.Ports["http"], one.Tags[0], one.Metadata["version"] = Port{}, "", ""
	require.Equal(t, in, two)
}
