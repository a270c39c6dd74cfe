package control

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzRequest gives parseRequest what a client sends, as it arrives in pieces: the answer is that of the whole, as
// soon as there is one.
func FuzzRequest(f *testing.F) {
	for _, data := range []string{
		"", "\n", "status\n", "ready", "drain\nresume\n", "status\r\n", "\x00\n", "\xff\xfe", " status\n", "GET / HTTP/1.1\r\n\r\n",
		strings.Repeat("a", maxRequest), strings.Repeat("a", maxRequest) + "\n", strings.Repeat("a", maxRequest+1), strings.Repeat("a", 1<<12) + "\n",
	} {
		f.Add([]byte(data), uint8(len(data)/2))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		request, whole := parseRequest(data)
		line, _, ended := bytes.Cut(data, []byte("\n"))
		if len(line) > maxRequest {
			require.True(t, whole, "it is not read for ever")
			require.Empty(t, request)
		} else {
			require.Equal(t, ended, whole)
			require.Equal(t, string(line), request)
		}
		if early, enough := parseRequest(data[:min(int(cut), len(data))]); enough {
			require.Equal(t, request, early, "what comes later changes nothing")
		}
	})
}
