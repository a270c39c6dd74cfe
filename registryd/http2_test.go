package registryd

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is a client that says frames as it likes.
type h2 struct {
	*http2.Framer
	testing.TB
	conn    net.Conn
	encoder *hpack.Encoder
	block   strings.Builder
}

func dialH2(t testing.TB, url string, settings ...http2.Setting) *h2 {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	c := &h2{Framer: http2.NewFramer(conn, conn), TB: t, conn: conn}
	c.encoder = hpack.NewEncoder(&c.block)
	require.NoError(t, c.WriteSettings(settings...))
	return c
}

// head encodes a call's head; words are names and values in turns.
func (c *h2) head(path string, more ...string) []byte {
	c.Helper()
	c.block.Reset()
	words := append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost", "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(words); i += 2 {
		require.NoError(c, c.encoder.WriteField(hpack.HeaderField{Name: words[i], Value: words[i+1]}))
	}
	return []byte(c.block.String())
}

// begin says the head of a call that goes on.
func (c *h2) begin(stream uint32, path string, more ...string) error {
	c.Helper()
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.head(path, more...), EndHeaders: true})
}

// drain takes what comes and says no word; ended is closed with the connection.
func (c *h2) drain() (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c.conn)
	}()
	return ended
}

// isCut waits until the server has closed the connection.
func (c *h2) isCut(ended chan struct{}) {
	c.Helper()
	select {
	case <-ended:
	case <-time.After(2 * patience):
		c.Fatal("the connection is still there")
	}
}

// TestHTTP2Floods says far too much on many connections. Others are answered meanwhile and after it.
func TestHTTP2Floods(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/LARGE", strings.Repeat("x", 131071)).status)
	others := func() {
		t.Helper()
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/B", "x").status)
		require.Equal(t, "x", ask(t, "GET", url+"/environment/B", "").body)
		_, err := etcdClient(t, url).Put(t.Context(), "x", "y")
		require.NoError(t, err)
	}
	floods := map[string]func(c *h2, n uint32) error{
		"rapid reset": func(c *h2, n uint32) error {
			return errors.Join(c.begin(n, "/etcdserverpb.KV/Range"), c.WriteRSTStream(n, http2.ErrCodeCancel))
		},
		"rapid reset of HTTP": func(c *h2, n uint32) error {
			return errors.Join(c.begin(n, "/environment/LARGE", "content-type", "text/plain"), c.WriteRSTStream(n, http2.ErrCodeCancel))
		},
		"pings": func(c *h2, _ uint32) error { return c.WritePing(false, [8]byte{}) },
		"settings": func(c *h2, _ uint32) error {
			return c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		},
		"watches that take nothing": func(c *h2, n uint32) error {
			return c.begin(n, "/etcdserverpb.Watch/Watch")
		},
		"values that are not taken": func(c *h2, n uint32) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: n, EndHeaders: true, EndStream: true,
				BlockFragment: c.head("/environment/LARGE", ":method", "GET")})
		},
	}
	for name, say := range floods {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				c := dialH2(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				if strings.HasPrefix(name, "watches") || strings.HasPrefix(name, "values") {
					// Nothing at all is read.
				} else {
					c.drain()
				}
				require.NoError(t, c.conn.SetWriteDeadline(time.Now().Add(2*time.Second))) // it may push back
				for n := uint32(1); n < 20000; n += 2 {
					if say(c, n) != nil {
						break
					}
				}
				others()
			}
		})
	}
	others()
}

// TestHTTP2HeadWithoutEnd: a head that goes on and on is cut, whatever it costs to say.
func TestHTTP2HeadWithoutEnd(t *testing.T) {
	_, url := start(t, Options{})
	c := dialH2(t, url)
	ended := c.drain()
	require.NoError(t, c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head("/environment")}))
	var err error
	for n := 0; n < 100_000 && err == nil; n++ {
		err = c.WriteContinuation(1, false, c.head("/", "x-more", strings.Repeat("y", 4000))[:1000])
	}
	require.Error(t, err, "100 MB of head were taken")
	c.isCut(ended)
	require.Equal(t, 200, ask(t, "GET", url+"/healthz", "").status)
}

// TestHTTP2LargeHead: one that is whole and too large is refused.
func TestHTTP2LargeHead(t *testing.T) {
	_, url := start(t, Options{})
	client := &http.Client{Transport: &http.Transport{Protocols: unencryptedHTTP2()}}
	response, err := client.Do(newRequest(t, "GET", url+"/environment", "", "X-Large", strings.Repeat("x", 200<<10)))
	if err == nil {
		response.Body.Close()
		require.Equal(t, 431, response.StatusCode)
	}
	require.Equal(t, 200, do(t, client, newRequest(t, "GET", url+"/environment", "")).status)
}

func unencryptedHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// TestHTTP2SlowCall: what is said at once by everyone else must not take for ever.
func TestHTTP2SlowCall(t *testing.T) {
	t.Parallel()
	_, url := start(t, Options{times: times{body: time.Second, answer: patience}})
	c := dialH2(t, url)
	require.NoError(t, c.begin(1, "/etcdserverpb.KV/Put"))
	require.NoError(t, c.WriteData(1, false, []byte{0, 0, 0, 1}))
	require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(2*patience)))
	for {
		frame, err := c.ReadFrame()
		require.NoError(t, err, "it goes on")
		if _, isSettings := frame.(*http2.SettingsFrame); !isSettings && frame.Header().StreamID == 1 {
			break // trailers, or a reset
		}
	}
}

// TestSlowLogins: those who say half of it do not hold up those who say all of it.
func TestSlowLogins(t *testing.T) {
	url, _ := guarded(t, Options{})
	for range 4 {
		c := dialH2(t, url)
		c.drain()
		for stream := uint32(1); stream < 200; stream += 2 {
			require.NoError(t, c.begin(stream, grpcAuthenticate))
			require.NoError(t, c.WriteData(stream, false, []byte{0, 0, 0, 0, 9}))
		}
	}
	client := &http.Client{Timeout: patience}
	request := newRequest(t, "PUT", url+"/environment/WEB", "x")
	request.SetBasicAuth("web", "webpw")
	require.Equal(t, 204, do(t, client, request).status)
}

// TestForeignCalls: a browser that could speak etcd's protocol would be refused too.
func TestForeignCalls(t *testing.T) {
	_, url := start(t, Options{})
	client := &http.Client{Transport: &http.Transport{Protocols: unencryptedHTTP2()}}
	for _, kind := range []string{"application/grpc", "application/grpc+proto", "application/grpc-web"} {
		a := do(t, client, newRequest(t, "POST", url+"/etcdserverpb.KV/Range", "\x00\x00\x00\x00\x03\x0a\x01x", "Content-Type", kind, "Origin", "http://evil.test"))
		require.Equal(t, "7", a.header.Get("Grpc-Status"), kind) // permission denied
		require.Empty(t, a.body)
	}
}
