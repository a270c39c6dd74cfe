package listen

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestMalformedRequests: what no handler sees is answered without a body too, for that would become a script's value.
func TestMalformedRequests(t *testing.T) {
	c := testservers.NewCertificates(t)
	// A value is sent as it is, though it looks like such an answer where a write of it begins.
	lie := "HTTP/1.1 400 Bad Request" + malformedHead + "400 Bad Request"
	lies := strings.Repeat(lie, 3)
	serve := func(options Options) string {
		options.Listen, options.Log = []string{"127.0.0.1:0"}, slog.New(slog.DiscardHandler)
		l, err := Open(options)
		require.NoError(t, err)
		server := &http.Server{ConnContext: ConnContext, MaxHeaderBytes: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(lies)))
			for range 3 {
				_ = http.NewResponseController(w).Flush()
				_, _ = io.WriteString(w, lie)
			}
		})}
		l.Serve(server, func(err error) { t.Error(err) })
		t.Cleanup(func() { l.Close(); server.Close() })
		return l.Addresses()[0]
	}
	plain, secure := serve(Options{}), serve(Options{Cert: c.ServerCert, Key: c.ServerKey})
	ask := func(address, request string) (*http.Response, string) {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		go func() { _, _ = io.WriteString(conn, request) }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}

	const get = "GET /environment/A HTTP/1.1\r\n"
	for name, test := range map[string]struct {
		address, request string
		status           int
		say              string
	}{
		"escape":      {plain, "GET /environment/A%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "Bad Request"},
		"no host":     {plain, get + "\r\n", 400, "missing required Host header"},
		"header":      {plain, get + "Host: localhost\r\nno header\r\n\r\n", 400, "Bad Request"},
		"long header": {plain, get + "Host: localhost\r\nA: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", 431, "Too Large"},
		"version":     {plain, "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505, "unsupported protocol version"},
		"encoding":    {plain, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "encoding"},
		"garbage":     {plain, "garbage\r\n\r\n", 400, "Bad Request"},
		"no TLS":      {secure, get + "Host: localhost\r\n\r\n", 400, "write https://"},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := ask(test.address, test.request)
			require.Equal(t, test.status, response.StatusCode)
			require.Contains(t, response.Header.Get(ErrorHeader), test.say)
			require.Empty(t, body)
		})
	}

	response, body := ask(plain, get+"Host: localhost\r\n\r\n")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, response.Header.Get(ErrorHeader))
	require.Equal(t, lies, body)
}
