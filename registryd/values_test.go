package registryd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func TestValues(t *testing.T) {
	_, url := start(t, Options{})
	value := url + "/environment/DATABASE_URL"

	refused(t, 404, ask(t, "GET", value, ""))
	refused(t, 404, ask(t, "DELETE", value, ""))
	for _, body := range []string{"one", "", "line\nline\n", "\x01\xff", strings.Repeat("x", discovery.MaxValue), `{"a":1}`, "a=b&c=%20"} {
		for _, kind := range []string{"", "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", "nonsense"} {
			for _, method := range []string{"POST", "PUT"} {
				put := ask(t, method, value, body, "Content-Type", kind)
				require.Equal(t, 204, put.status, put.reason)
				require.Empty(t, put.body)
				got := ask(t, "GET", value, "")
				require.Equal(t, 200, got.status)
				require.Equal(t, body, got.body)
			}
		}
	}
	require.Equal(t, "[\"DATABASE_URL\"]\n", ask(t, "GET", url+"/environment", "").body)
	head := ask(t, "HEAD", value, "")
	require.Equal(t, 200, head.status)
	require.Equal(t, "9", head.header.Get("Content-Length"))
	require.Equal(t, 204, ask(t, "DELETE", value, "").status)
	require.Equal(t, "[]\n", ask(t, "GET", url+"/environment", "").body)
}

func TestValueErrors(t *testing.T) {
	_, url := start(t, Options{})
	value := url + "/environment/A"
	require.Equal(t, 204, ask(t, "PUT", value, "kept").status)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
	}{
		"too long":       {"PUT", "/environment/A", strings.Repeat("x", discovery.MaxValue+1), 413},
		"far too long":   {"POST", "/environment/A", strings.Repeat("x", 1<<20+1), 413},
		"NUL":            {"PUT", "/environment/A", "a\x00b", 400},
		"method":         {"PATCH", "/environment/A", "x", 405},
		"list's method":  {"POST", "/environment", "x", 405},
		"ttl":            {"PUT", "/environment/A?ttl=soon", "x", 400},
		"negative ttl":   {"PUT", "/environment/A?ttl=-1s", "x", 400},
		"endless ttl":    {"PUT", "/environment/A?ttl=100000h", "x", 400},
		"wait":           {"GET", "/environment/A?wait=x", "", 400},
		"unknown key":    {"GET", "/environment/A?wiat=1s", "", 400},
		"wait of a put":  {"PUT", "/environment/A?wait=1s", "x", 400},
		"wait twice":     {"GET", "/environment/A?wait=1s&wait=1h", "", 400},
		"nameless watch": {"GET", "/watch?service=", "", 400},
		"two to watch":   {"GET", "/watch?service=a&service=b", "", 400},
		"ttl of a get":   {"GET", "/environment/A?ttl=1s", "", 400},
		"bad query":      {"GET", "/environment/A?%zz", "", 400},
		"deeper":         {"GET", "/environment/A/B", "", 404},
		"slash":          {"GET", "/environment/A/", "", 404},
		"nowhere":        {"GET", "/elsewhere", "", 404},
		"no name":        {"GET", "/environment/", "", 400},
		"double slash":   {"GET", "//environment/A", "", 404},
		"cleaned path":   {"PUT", "/services/../environment/A", "x", 404},
		"connect method": {"OPTIONS", "/environment/A", "", 405},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.status, ask(t, test.method, url+test.path, test.body)) })
	}
	require.Equal(t, "kept", ask(t, "GET", value, "").body)
	require.Equal(t, []string{"GET", "HEAD", "POST", "PUT", "DELETE"}, ask(t, "OPTIONS", value, "").header["Allow"])
}

// TestValueNames: every name that no variable can have is refused, whatever its characters.
func TestValueNames(t *testing.T) {
	_, base := start(t, Options{})
	for c := range 256 {
		name := "A" + string([]byte{byte(c)})
		a := ask(t, "PUT", base+"/environment/"+escapeAll(name), "x")
		if discovery.ValidValueName(name) == nil {
			require.Equal(t, 204, a.status, "%q", name)
		} else {
			refused(t, 400, a)
		}
	}
	for _, name := range []string{"1A", ".", "..", "../A", "A/B", "A B", "é", "𝒳", "A\r\nX: y", "A=B", "-", "%", "A%00", strings.Repeat("%", 5000)} {
		refused(t, 400, ask(t, "PUT", base+"/environment/"+escapeAll(name), "x"))
		refused(t, 400, ask(t, "GET", base+"/environment/"+escapeAll(name), ""))
	}
	require.Equal(t, 204, ask(t, "PUT", base+"/environment/_a1", "x").status)
	require.Equal(t, 204, ask(t, "PUT", base+"/environment/"+strings.Repeat("LONG", 1000), "x").status)
}

// escapeAll writes every byte as %XX: dots too, which url.PathEscape leaves and clients clean away.
func escapeAll(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
	}
	return b.String()
}

func TestValueTTL(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/LONG?ttl=1h", "x").status)
	for begun := time.Now().Add(-time.Hour); time.Since(begun) >= time.Second; { // a busy machine may see no more of it
		begun = time.Now()
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/SHORT?ttl=1", "x").status)
		if got := ask(t, "GET", url+"/environment/SHORT", ""); time.Since(begun) < time.Second {
			require.Equal(t, "x", got.body)
			break
		}
	}
	require.Eventually(t, func() bool {
		return ask(t, "GET", url+"/environment/SHORT", "").status == 404
	}, patience, 50*time.Millisecond)
	require.Equal(t, "x", ask(t, "GET", url+"/environment/LONG", "").body)
}

func TestValueWait(t *testing.T) {
	_, url := start(t, Options{})
	refused(t, 404, ask(t, "GET", url+"/environment/A?wait=100ms", ""))

	got := make(chan answer)
	go func() { got <- ask(t, "GET", url+"/environment/A?wait=1h", "") }()
	waiting := func() bool {
		return strings.Contains(ask(t, "GET", url+"/metrics", "").body, `envdiscoverd_watchers{kind="wait"} 1`+"\n")
	}
	require.Eventually(t, waiting, patience, 10*time.Millisecond)
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/B", "another").status)
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "at last").status)
	a := <-got
	require.Equal(t, 200, a.status)
	require.Equal(t, "at last", a.body)
	require.Equal(t, "at last", ask(t, "GET", url+"/environment/A?wait=30", "").body)
}

// TestValueLongWait waits for longer than a client has for sending a request.
func TestValueLongWait(t *testing.T) {
	t.Parallel()
	server, url := start(t, Options{times: times{body: 3 * time.Second, answer: patience}})
	got := make(chan answer, 1)
	go func() {
		defer close(got) // also when there is no answer
		got <- ask(t, "GET", url+"/environment/A?wait=10m", "")
	}()
	select {
	case a := <-got:
		t.Fatalf("it did not wait: %d %q", a.status, a.reason)
	case <-time.After(4 * time.Second):
	}
	_, err := server.node.Client().Put(t.Context(), "/envharness/environment/A", "at last")
	require.NoError(t, err)
	require.Equal(t, "at last", (<-got).body)
}

// TestCutOff: a request that ended before its answer is never answered as if all were well.
func TestCutOff(t *testing.T) {
	server, _ := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/environment/A", "/environment/A?wait=1m", "/environment", "/services", "/services/web"} {
		request := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+path, nil)
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { server.ServeHTTP(httptest.NewRecorder(), request) }, path)
	}
}

// TestSameData: what HTTP writes is what clients of package discovery see, and the other way round.
func TestSameData(t *testing.T) {
	_, base := start(t, Options{})
	r := registry(t, base)
	values := r.(discovery.Values)

	require.NoError(t, values.Put(t.Context(), "BY_CLIENT", []byte("c"), 0))
	require.Equal(t, "c", ask(t, "GET", base+"/environment/BY_CLIENT", "").body)
	require.Equal(t, 204, ask(t, "POST", base+"/environment/BY_HTTP", "h").status)
	value, err := values.Get(t.Context(), "BY_HTTP")
	require.NoError(t, err)
	require.Equal(t, "h", string(value))

	odd := "a/b %é\x00.."
	registration, err := r.Register(t.Context(), discovery.Instance{
		Service: odd, ID: "by/client", Host: "10.0.0.5", User: "u", Password: "p",
		Ports: map[string]discovery.Port{"http": {Number: 80}},
	}, 0)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	got := ask(t, "GET", base+"/services/"+url.PathEscape(odd), "")
	require.Contains(t, got.body, `"host":"10.0.0.5"`)
	require.NotContains(t, got.body, `"user"`)
	require.NotContains(t, got.body, `"password"`)
	require.Contains(t, ask(t, "GET", base+"/services/"+url.PathEscape(odd)+"?credentials=1", "").body, `"password":"p"`)

	require.Equal(t, 200, ask(t, "PUT", base+"/services/"+escapeAll(odd)+"/by%2Fhttp", `{"host":"10.0.0.6"}`).status)
	snapshot, err := r.Instances(t.Context(), odd, discovery.Query{})
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, 2)
	require.Equal(t, "by/http", snapshot.Instances[1].ID)
	require.Equal(t, "10.0.0.6", snapshot.Instances[1].Host)
}

func TestEtcdClients(t *testing.T) {
	_, url := start(t, Options{})
	client := etcdClient(t, url)
	large := strings.Repeat("x", 1_400_000)
	_, err := client.Put(t.Context(), "large", large)
	require.NoError(t, err)
	response, err := client.Get(t.Context(), "large")
	require.NoError(t, err)
	require.Equal(t, large, string(response.Kvs[0].Value))
	lease, err := client.Grant(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, lease.TTL)

	// Only what says so is etcd's protocol, and etcd's own HTTP is nowhere.
	for _, path := range []string{"/version", "/v3/kv/range", "/debug/pprof/", "/debug/vars", "/config/local/log", "/health"} {
		refused(t, 404, ask(t, "GET", url+path, ""))
	}
	require.NotEqual(t, 200, ask(t, "POST", url+"/etcdserverpb.KV/Range", "", "Content-Type", "application/grpc").status)
	require.Equal(t, http.StatusNotFound, ask(t, "GET", url+"/etcdserverpb.KV/Range", "").status)
}
