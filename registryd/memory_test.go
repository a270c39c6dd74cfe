package registryd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/net/http2"

	"github.com/envharness/envharness/internal/testservers"
)

// mostResident is what a registry may have in memory while it is attacked.
const mostResident = 300 << 20

// TestMemory attacks a registry that has a service of 4 MB by clients that ask and do not read. Its memory stays
// bounded, and ordinary requests are answered meanwhile.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it floods for a quarter of a minute")
	}
	process, url := startProcess(t, Options{Data: dataDirectory(t)})
	client := etcdClient(t, url)
	padding := strings.Repeat("x", 100<<10)
	for i := range 40 {
		_, err := client.Put(t.Context(), fmt.Sprint("/envharness/services/web/", i), `{"host":"h","shard":"`+padding+`"}`)
		require.NoError(t, err)
	}
	path := "/services/web?all=1"
	ordinary := func() {
		t.Helper()
		require.Equal(t, 200, ask(t, "GET", url+path, "").status)
		require.Equal(t, 200, ask(t, "GET", url+"/services", "").status)
	}
	bounded := func() {
		t.Helper()
		most := resident(t, process, "VmHWM")
		t.Logf("at most %d MiB", most>>20)
		require.Less(t, most, int64(mostResident))
	}
	attack := func(name string, do func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { do(t); ordinary(); bounded() })
	}
	attack("streams with an empty window", func(t *testing.T) {
		for range 3 {
			c := dialH2(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.drain()
			for n := uint32(1); n < 2*100; n += 2 {
				require.NoError(t, c.WriteHeaders(http2.HeadersFrameParam{StreamID: n, EndHeaders: true, EndStream: true,
					BlockFragment: c.head(path, ":method", "GET")}))
			}
			ordinary()
		}
	})
	attack("ordinary readers", func(t *testing.T) {
		var wait sync.WaitGroup
		statuses := make(chan int, 200)
		for range cap(statuses) {
			wait.Go(func() {
				response, err := http.Get(url + path)
				if err != nil {
					t.Error(err)
					return
				}
				defer response.Body.Close()
				_, _ = io.Copy(io.Discard, response.Body)
				statuses <- response.StatusCode
			})
		}
		wait.Wait()
		for range cap(statuses) {
			require.Equal(t, 200, <-statuses)
		}
	})
	attack("watches that are not read", func(t *testing.T) {
		for range 150 {
			mute(t, url, "GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		for i := range 20 { // each makes a new state of the service
			_, err := client.Put(t.Context(), "/envharness/services/web/new", fmt.Sprintf(`{"host":"h%d"}`, i))
			require.NoError(t, err)
			ordinary()
		}
	})
	attack("questions that differ", func(t *testing.T) {
		for i := range 60 {
			mute(t, url, fmt.Sprintf("GET %s&tag=&shard=%s HTTP/1.1\r\nHost: localhost\r\nX: %d\r\n\r\n", path, padding[:1], i))
			mute(t, url, fmt.Sprintf("GET %s&credentials=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", path, i%2))
		}
	})
	attack("bogus credentials", func(t *testing.T) {
		for i := range 60 {
			mute(t, url, fmt.Sprintf("GET /watch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %d\r\n\r\n", i))
		}
	})
	attack("calls of etcd's", func(t *testing.T) {
		for range 2 {
			c := dialH2(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.drain()
			call := "\x00\x00\x00\x00\x06\x0a\x01/\x12\x010"
			for n := uint32(1); n < 2*100; n += 2 {
				require.NoError(t, c.begin(n, "/etcdserverpb.KV/Range"))
				require.NoError(t, c.WriteData(n, true, []byte(call)))
			}
			ordinary()
		}
		_, err := client.Get(t.Context(), "/envharness/services/web/1")
		require.NoError(t, err)
	})
	attack("bodies that do not end", func(t *testing.T) {
		body := strings.Repeat("y", 1<<20-10)
		var sent sync.WaitGroup
		defer func() { // an answer that nobody has read yet
			sent.Wait()
			_, err := client.Put(t.Context(), "/envharness/services/web/new", `{"host":"last"}`)
			require.NoError(t, err)
		}()
		for range 100 {
			sent.Go(func() { // it may be pushed back
				conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err == nil {
					t.Cleanup(func() { conn.Close() })
					_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
					_, _ = io.WriteString(conn, "PUT /services/web/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"+body)
				}
			})
		}
	})
}

// mute says something and reads nothing.
func mute(t *testing.T, url, say string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, say)
	require.NoError(t, err)
}

// resident reads what proc(5) says of a process's memory, in bytes.
func resident(t *testing.T, process *testservers.Process, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			require.NoError(t, err)
			return kilobytes << 10
		}
	}
	t.Fatal("no " + field)
	return 0
}

// TestRoom: nobody gets more than a share, and what is large waits until there is room.
func TestRoom(t *testing.T) {
	r := newRoom(10<<20, 4<<20)
	first, err := r.take(t.Context(), "a", 3<<20)
	require.NoError(t, err)
	_, ok := r.takeNow("a", 2<<20)
	require.False(t, ok, "more than its share")
	second, ok := r.takeNow("b", 100<<20)
	require.True(t, ok, "a share, alone")
	shared, ok := r.takeNow(nil, 3<<20)
	require.True(t, ok)
	_, ok = r.takeNow("c", smallAnswer+1)
	require.False(t, ok, "there is no more")
	_, ok = r.takeNow("c", smallAnswer)
	require.True(t, ok, "small ones are not counted")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.take(ctx, "c", 1<<20)
	require.ErrorIs(t, err, context.Canceled)
	done := make(chan func())
	go func() { give, _ := r.take(t.Context(), "c", 1<<20); done <- give }()
	first()
	first()
	for _, give := range []func(){<-done, second, shared} {
		give()
	}
	require.Equal(t, int64(10<<20), r.left)
	require.Empty(t, r.byOwner)
}

// TestSharedAnswer takes its room once.
func TestSharedAnswer(t *testing.T) {
	r := newRoom(10<<20, 1<<20)
	a := &sharedAnswer{data: make([]byte, 6<<20)}
	one, err := a.read(t.Context(), r)
	require.NoError(t, err)
	two, err := a.read(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, int64(4<<20), r.left)
	one()
	one()
	require.Equal(t, int64(4<<20), r.left)
	two()
	require.Equal(t, int64(10<<20), r.left)
}

// TestLeases: a repeat leaves none behind, nor does what takes the place of what had one.
func TestLeases(t *testing.T) {
	_, url := start(t, Options{})
	client := etcdClient(t, url)
	leases := func() int {
		t.Helper()
		all, err := client.Leases(t.Context())
		require.NoError(t, err)
		return len(all.Leases)
	}
	value, instance := url+"/environment/A", url+"/services/web/a"
	for i := range 10 {
		require.Equal(t, 204, ask(t, "PUT", value+"?ttl=24h", fmt.Sprint(i/5)).status)
		require.Equal(t, 200, ask(t, "PUT", instance+"?ttl=24h", fmt.Sprintf(`{"host":"h%d"}`, i/5)).status)
	}
	require.Equal(t, 2, leases())
	require.Equal(t, 204, ask(t, "PUT", value+"?ttl=1h", "x").status)
	require.Equal(t, 2, leases())
	require.Equal(t, 204, ask(t, "PUT", value, "x").status)
	require.Equal(t, 1, leases())
	require.Equal(t, 204, ask(t, "DELETE", instance, "").status)
	require.Equal(t, 0, leases())
	require.Equal(t, "x", ask(t, "GET", value, "").body)
}

// TestForeignLease: what somebody else has put a record on is not renewed, though all that is known of it fits.
func TestForeignLease(t *testing.T) {
	_, url := start(t, Options{})
	client := etcdClient(t, url)
	const key = "/envharness/services/web/a"
	instance := url + "/services/web/a?ttl=10s"
	require.Equal(t, 200, ask(t, "PUT", instance, `{"host":"h"}`).status)
	read := func() (clientv3.LeaseID, string) {
		t.Helper()
		response, err := client.Get(t.Context(), key)
		require.NoError(t, err)
		return clientv3.LeaseID(response.Kvs[0].Lease), string(response.Kvs[0].Value)
	}
	first, record := read()
	_, err := client.Revoke(t.Context(), first) // made anew for a year, under the ID that was seen
	require.NoError(t, err)
	grant(t, client, first, 366*24*3600)
	_, err = client.Put(t.Context(), key, record, clientv3.WithLease(first))
	require.NoError(t, err)
	require.Equal(t, 200, ask(t, "PUT", instance, `{"host":"h"}`).status)
	second, _ := read()
	require.NotEqual(t, first, second)
	left, err := client.TimeToLive(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, int64(10), left.GrantedTTL)
	require.False(t, isOwnLease(second, key+"b"))
	require.True(t, isOwnLease(second, key))
}
