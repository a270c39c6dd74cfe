package registryd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/internal/safebuffer"
)

// TestHostileClients opens hundreds of connections that say little or take nothing. All that others ask is
// answered meanwhile, and those that have not even said what they want are cut off.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	server, url := start(t, Options{})
	address := strings.TrimPrefix(url, "http://")
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/LARGE", strings.Repeat("x", 131071)).status)
	open := func(say string) net.Conn {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, say)
		require.NoError(t, err)
		return conn
	}
	var mute []net.Conn
	for i := range 60 {
		mute = append(mute, open(""), open("GET /environment HTTP/1.1\r\nHost: localhost\r\nX"))
		open("PUT /environment/A HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nslow")
		open("GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n") // and never reads
		open(strings.Repeat("GET /environment/LARGE HTTP/1.1\r\nHost: localhost\r\n\r\n", 100))
		open(http2.ClientPreface) // no settings
		hostileHTTP2(t, open(http2.ClientPreface), i)
	}
	for range 20 {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/B", "x").status)
		require.Equal(t, "x", ask(t, "GET", url+"/environment/B", "").body)
		_, err := etcdClient(t, url).Put(t.Context(), "x", "y")
		require.NoError(t, err)
	}
	for _, conn := range mute {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, conn)
		require.NoError(t, err) // its end, not the deadline's
	}
	refused(t, 404, ask(t, "GET", url+"/environment/A", ""))
	require.NotNil(t, server)
}

// hostileHTTP2 leaves a call half said: by turns a head without an end, a call without a body, and a watch that
// lets nothing be sent to it.
func hostileHTTP2(t *testing.T, conn net.Conn, turn int) {
	t.Helper()
	framer := http2.NewFramer(conn, conn)
	require.NoError(t, framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	var head strings.Builder
	encoder := hpack.NewEncoder(&head)
	path := []string{"/etcdserverpb.KV/Put", "/etcdserverpb.Watch/Watch", "/etcdserverpb.Auth/Authenticate"}[turn%3]
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "localhost"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	for stream := range 50 {
		require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*stream + 1), BlockFragment: []byte(head.String()), EndHeaders: turn%2 == 0 || stream < 49,
		}))
	}
}

func TestLargeHead(t *testing.T) {
	_, url := start(t, Options{})
	request := newRequest(t, "GET", url+"/environment", "", "X-Large", strings.Repeat("x", 200<<10))
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
		require.Equal(t, 431, response.StatusCode)
	}
}

// events reads server-sent events, one at a time.
type events struct{ scanner *bufio.Scanner }

func watchEvents(t testing.TB, url string) *events {
	t.Helper()
	response, err := http.DefaultClient.Do(newRequest(t, "GET", url, ""))
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	require.Equal(t, 200, response.StatusCode)
	require.Empty(t, response.TransferEncoding, "an event in chunks is three writes")
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, 16<<20)
	return &events{scanner}
}

// next gives the next event as "NAME DATA".
func (e *events) next(t testing.TB) string {
	t.Helper()
	name := ""
	for e.scanner.Scan() {
		if text, ok := strings.CutPrefix(e.scanner.Text(), "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(e.scanner.Text(), "data: "); ok {
			return name + " " + text
		}
	}
	t.Fatal(fmt.Errorf("the events ended: %w", e.scanner.Err()))
	return ""
}

func TestWatch(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, 200, ask(t, "PUT", url+"/services/db/a?ttl=1h", `{"host":"h","user":"u","password":"secret"}`).status)
	all, web := watchEvents(t, url+"/watch"), watchEvents(t, url+"/watch?service=web")
	require.Equal(t, `service {"service":"db","instances":[{"id":"a","service":"db","host":"h","state":"passing","has_credentials":true}]}`, all.next(t))
	require.Equal(t, `values []`, all.next(t))
	require.Equal(t, `current {"current":true,"writable":true}`, all.next(t))
	const empty = `service {"service":"web","instances":[]}`
	require.Equal(t, empty, web.next(t))
	require.Equal(t, `current {"current":true,"writable":true}`, web.next(t))

	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "secret").status)
	require.Equal(t, `values ["A"]`, all.next(t))
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a?ttl=1h", `{"host":"h"}`).status)
	const one = `service {"service":"web","instances":[{"id":"a","service":"web","host":"h","state":"passing"}]}`
	require.Equal(t, one, all.next(t))
	require.Equal(t, one, web.next(t))
	require.Equal(t, 204, ask(t, "DELETE", url+"/services/web/a", "").status)
	require.Equal(t, empty, all.next(t))
	require.Equal(t, empty, web.next(t))
	refused(t, 400, ask(t, "GET", url+"/watch?leases=maybe", ""))
}

// TestCanary sends a secret by every way in and looks for it in every way out that is not meant to have it.
func TestCanary(t *testing.T) {
	const canary = "canary-7d1f"
	log := &safebuffer.Buffer{}
	_, url := start(t, Options{Log: logTo(log)})
	watched := watchEvents(t, url+"/watch?leases=1")
	var seen strings.Builder
	note := func(a answer) {
		fmt.Fprintln(&seen, a.body, a.reason, a.header)
	}
	instance := `{"host":"h","user":"` + canary + `","password":"` + canary + `","unknown":"` + canary + `"}`
	note(ask(t, "PUT", url+"/environment/A", canary))
	note(ask(t, "PUT", url+"/environment/A?ttl="+"x", canary))
	note(ask(t, "PUT", url+"/environment/A-", canary))
	note(ask(t, "POST", url+"/environment/B", strings.Repeat(canary, 20000)))
	note(ask(t, "POST", url+"/environment/B", canary, "Origin", "http://evil.test"))
	note(ask(t, "PUT", url+"/services/web/a", instance))
	note(ask(t, "PUT", url+"/services/web/b", instance+"x"))
	note(ask(t, "PUT", url+"/services/web/b", canary))
	note(ask(t, "PUT", url+"/services/web/b", `{"ports":"`+canary+`"}`))
	note(ask(t, "PUT", url+"/services/web/b", `{"state":{"`+canary+`":1}}`))
	note(as(t, "user", canary, "GET", url+"/services", ""))
	note(ask(t, "GET", url+"/services", "", "Authorization", "Bearer "+canary))
	client := etcdClient(t, url)
	for _, key := range []string{"/envharness/services/web/c", "/envharness/services/x", "/envharness/environment/a-b", "/envharness/environment/"} {
		_, err := client.Put(t.Context(), key, canary)
		require.NoError(t, err)
	}
	_, err := client.Put(t.Context(), "x", strings.Repeat(canary, 200_000))
	require.Error(t, err)
	seen.WriteString(err.Error())
	for _, path := range []string{"/", "/environment", "/services", "/services/web?all=1", "/prometheus", "/metrics", "/healthz", "/readyz", "/page.js"} {
		note(ask(t, "GET", url+path, ""))
	}
	for !strings.Contains(seen.String(), `"id":"a"`) || !strings.Contains(seen.String(), "leases ") {
		seen.WriteString(watched.next(t))
	}
	require.NotContains(t, seen.String(), canary)
	require.NotContains(t, log.String(), canary)
	require.Contains(t, log.String(), "malformed")
	require.Equal(t, canary, ask(t, "GET", url+"/environment/A", "").body)
}

// TestWatchChanges: after the first snapshots only what has changed is sent, however large the service.
func TestWatchChanges(t *testing.T) {
	_, url := start(t, Options{})
	put := func(id, body string) {
		require.Equal(t, 200, ask(t, "PUT", url+"/services/web/"+id+"?ttl=1h", body).status)
	}
	put("a", `{"host":"h"}`)
	put("b", `{"host":"h"}`)
	all, web := watchEvents(t, url+"/watch?changes=1"), watchEvents(t, url+"/watch?changes=1&service=web")
	first := all.next(t)
	require.Contains(t, first, `service {"service":"web","instances":[{"id":"a"`)
	require.Equal(t, first, web.next(t))
	require.Equal(t, `values []`, all.next(t))
	for _, reader := range []*events{all, web} {
		require.Equal(t, `current {"current":true,"writable":true}`, reader.next(t))
	}
	put("b", `{"host":"h2"}`)
	for _, reader := range []*events{all, web} {
		require.Equal(t, `change {"service":"web","put":[{"id":"b","service":"web","host":"h2","state":"passing"}],"gone":[]}`, reader.next(t))
	}
	put("b", `{"host":"h2"}`) // a renewal: nobody hears of it
	require.Equal(t, 204, ask(t, "DELETE", url+"/services/web/a", "").status)
	for _, reader := range []*events{all, web} {
		require.Equal(t, `change {"service":"web","put":[],"gone":["a"]}`, reader.next(t))
	}
	refused(t, 400, ask(t, "GET", url+"/watch?changes=maybe", ""))
}

// TestDifference: who has the state before takes the change alone, and others the whole.
func TestDifference(t *testing.T) {
	m := newMirror(nil, newBehind())
	m.services["web"] = &mirrored{instances: map[string]mirroredInstance{}}
	put := func(id, text string) {
		m.services["web"].instances[id] = mirroredInstance{encoded: []byte(text)}
		m.touch("web", id)
		m.publishAll()
	}
	taken := func(seen int64, changes bool) string {
		s := &stream{mirror: m, readers: m.everything, all: true, changes: changes, seen: seen}
		s.gather()
		var text strings.Builder
		for _, event := range s.events {
			text.Write(event.data)
		}
		return text.String()
	}
	put("a", `1`)
	put("b", `2`)
	put("a", `3`)
	require.Contains(t, taken(2, true), `"put":[3],"gone":[]`)
	require.Contains(t, taken(2, false), `"instances":[3,2]`)
	require.Contains(t, taken(1, true), `"instances":[3,2]`)
	require.Contains(t, taken(0, true), `"instances":[3,2]`)
	require.NotContains(t, taken(3, true), "web")
	m.dropInstance("web", "a")
	m.dropInstance("web", "nobody")
	m.publishAll()
	require.Contains(t, taken(3, true), `"put":[],"gone":["a"]`)
	m.outage(rpctypes.ErrPermissionDenied)
	s := &stream{mirror: m, readers: m.everything, all: true, changes: true, seen: 4}
	s.gather()
	require.Contains(t, s.buffer.String(), `"denied":true`)
	m.apply(driver.Changes{Whole: true}, true)
	s = &stream{mirror: m, readers: m.everything, all: true, changes: true, seen: 4}
	s.gather()
	require.True(t, s.missed, "that all was forgotten")
}
