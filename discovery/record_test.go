package discovery

import (
	"encoding/json"
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
