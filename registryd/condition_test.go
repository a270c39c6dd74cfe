package registryd

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
)

// grant makes a lease of a known ID.
func grant(t testing.TB, client *clientv3.Client, id clientv3.LeaseID, seconds int64) {
	t.Helper()
	_, err := etcdserverpb.NewLeaseClient(client.ActiveConnection()).
		LeaseGrant(t.Context(), &etcdserverpb.LeaseGrantRequest{ID: int64(id), TTL: seconds})
	require.NoError(t, err)
}

// TestConditions: create if absent, and compare and set.
func TestConditions(t *testing.T) {
	_, url := start(t, Options{})
	for path, body := range map[string]string{"/environment/A": "one", "/services/web/a": `{"host":"one"}`} {
		t.Run(path, func(t *testing.T) {
			put := func(ttl string, header ...string) answer { return ask(t, "PUT", url+path+ttl, body, header...) }
			refused(t, 412, put("", "If-Match", "*"))
			refused(t, 412, ask(t, "DELETE", url+path, "", "If-Match", "*"))
			first := put("", "If-None-Match", "*")
			require.Less(t, first.status, 300, first.reason)
			tag := first.header.Get("Etag")
			require.Regexp(t, `^"\d+"$`, tag)
			refused(t, 412, put("", "If-None-Match", "*"))
			refused(t, 412, put("?ttl=1h", "If-None-Match", "*"))
			refused(t, 412, put("", "If-None-Match", tag))
			refused(t, 412, put("", "If-Match", `"1"`))
			refused(t, 412, put("", "If-Match", "nonsense"))
			refused(t, 412, put("", "If-Match", ""))
			refused(t, 412, put("", "If-Match", "W/"+tag))
			second := put("?ttl=1h", "If-Match", `"x", `+tag)
			require.Less(t, second.status, 300, second.reason)
			refused(t, 412, put("", "If-Match", tag))
			refused(t, 412, ask(t, "DELETE", url+path, "", "If-Match", tag))
			tag = second.header.Get("Etag")
			require.Equal(t, tag, put("?ttl=1h", "If-Match", tag).header.Get("Etag"), "a renewal changes nothing")
			require.Equal(t, 204, ask(t, "DELETE", url+path, "", "If-Match", tag).status)
		})
	}
	t.Run("read", func(t *testing.T) {
		value := url + "/environment/B"
		tag := ask(t, "PUT", value, "x").header.Get("Etag")
		require.Equal(t, tag, ask(t, "GET", value, "").header.Get("Etag"))
		for _, same := range []string{tag, "W/" + tag, "*", `"0", ` + tag} {
			a := ask(t, "GET", value, "", "If-None-Match", same)
			require.Equal(t, 304, a.status)
			require.Equal(t, tag, a.header.Get("Etag"))
		}
		require.Equal(t, 200, ask(t, "GET", value, "", "If-None-Match", `"0"`).status)
		refused(t, 412, ask(t, "GET", value, "", "If-Match", `"0"`))
	})
}

// TestNobodyReachesIt: what nothing can use is refused.
func TestNobodyReachesIt(t *testing.T) {
	_, url := start(t, Options{})
	refused(t, 400, ask(t, "PUT", url+"/services/web/a", `{}`))
	refused(t, 400, ask(t, "PUT", url+"/services/web/a", `{"ports":{"http":80}}`))
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a", `{"private_host":"h"}`).status)
	refused(t, 400, ask(t, "PUT", url+"/environment/A", "a\x00"))
}

// TestLargeInstance: a body that fits may make a record that does not.
func TestLargeInstance(t *testing.T) {
	_, url := start(t, Options{})
	body := make([]byte, 500<<10)
	for i := range body {
		body[i] = '<' // six bytes in JSON
	}
	refused(t, 413, ask(t, "PUT", url+"/services/web/a", `{"host":"h","shard":"`+string(body)+`"}`))
}

// FuzzRequest reads everything of a request that a client writes as it likes.
func FuzzRequest(f *testing.F) {
	f.Add("/environment/A?ttl=1h", "Basic dTpw", `"1", *`, `{"host":"h"}`, "localhost:7171")
	f.Add("/services/%2F/..?ttl=9999999999999999999", "Bearer x y", "W/,", `{"ports":{"a":{"number":"1"}}}`, "[::1%25eth0]:1")
	f.Fuzz(func(t *testing.T, path, authorization, tags, body, host string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: "PUT", URL: u, Host: host, Header: http.Header{
			"Authorization": {authorization}, "If-Match": {tags}, "If-None-Match": {tags},
		}}
		if parts, err := segments(u); err == nil {
			require.NotEmpty(t, parts)
		}
		require.NotContains(t, topic(u.Path), "/")
		who := readCaller(r)
		require.False(t, who.user != "" && who.token != "")
		c := readCondition(r)
		require.False(t, c.of(7), "If-Match and If-None-Match are the same")
		if in, err := readInstance([]byte(body), "service", "id"); err == nil {
			require.Equal(t, "service", in.Service)
			require.NotEmpty(t, in.Host+in.PrivateHost)
		}
		if query, err := queryOf(r, "ttl"); err == nil {
			ttl, err := queryDuration(query, "ttl", longestTTL)
			require.True(t, err != nil || ttl >= 0 && ttl <= longestTTL)
		}
		if (&gate{}).knownHost(host) {
			require.NotContains(t, host, "/")
		}
		for _, c := range headerText(body) {
			require.True(t, c >= ' ' && c < 0x7f)
		}
	})
}

// FuzzLogin reads a login of etcd's protocol.
func FuzzLogin(f *testing.F) {
	login, err := proto.Marshal(&etcdserverpb.AuthenticateRequest{Name: "web", Password: "pw"})
	require.NoError(f, err)
	f.Add(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(login))), login...))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		user, err := loginUser(body)
		require.True(t, err == nil || user == "")
	})
}

// TestBatches: who comes while it is being asked is answered by the next question, and one whom nobody waits for
// is not asked on.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b batches[string, int]
		begun, answer, results := make(chan context.Context), make(chan int), make(chan int, 5)
		join := func(ctx context.Context) {
			go func() {
				n, _ := b.join(ctx, "k", func(ctx context.Context) (int, error) {
					begun <- ctx
					select {
					case n := <-answer:
						return n, nil
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				})
				results <- n
			}()
			synctest.Wait()
		}
		join(t.Context())
		<-begun
		for range 5 {
			join(t.Context())
		}
		answer <- 1
		require.Equal(t, 1, <-results)
		<-begun
		answer <- 2
		for range 5 {
			require.Equal(t, 2, <-results)
		}
		ctx, cancel := context.WithCancel(t.Context())
		join(ctx)
		asked := <-begun
		cancel()
		<-asked.Done()
		<-results
		synctest.Wait()
		require.Empty(t, b.next)
		require.Empty(t, b.running)
	})
}
