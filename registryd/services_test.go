package registryd

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// snapshotOf reads a service.
func snapshotOf(t testing.TB, url string) discovery.Snapshot {
	t.Helper()
	got := ask(t, "GET", url, "")
	require.Equal(t, 200, got.status, got.reason)
	var snapshot discovery.Snapshot
	require.NoError(t, json.Unmarshal([]byte(got.body), &snapshot))
	return snapshot
}

func TestServices(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, "[]\n", ask(t, "GET", url+"/services", "").body)
	require.Empty(t, snapshotOf(t, url+"/services/web").Instances)

	put := ask(t, "PUT", url+"/services/web/b?ttl=1h", `{"host":"10.0.0.5","ports":{"http":{"number":80}},"tags":["blue"],"shard":"s1","user":"u","password":"secret","extra":"secret"}`)
	require.Equal(t, 200, put.status, put.reason)
	require.JSONEq(t, `{"service":"web","id":"b","ttl":"1h0m0s"}`, put.body)
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a", `{"host":"10.0.0.6","state":"failing"}`).status)
	require.Equal(t, 200, ask(t, "PUT", url+"/services/db/a", `{"host":"h"}`).status)
	require.Equal(t, "[\"db\",\"web\"]\n", ask(t, "GET", url+"/services", "").body)

	ids := func(query string) string {
		var ids []string
		for _, in := range snapshotOf(t, url+"/services/web"+query).Instances {
			ids = append(ids, in.ID)
		}
		return strings.Join(ids, " ")
	}
	require.Equal(t, "b", ids(""))
	require.Equal(t, "a b", ids("?all=1"))
	require.Equal(t, "b", ids("?tag=blue"))
	require.Equal(t, "", ids("?tag=blue&tag=red"))
	require.Equal(t, "b", ids("?shard=s1"))
	require.Equal(t, "", ids("?shard=s2"))
	require.NotContains(t, ask(t, "GET", url+"/services/web?all=1", "").body, "secret")
	with := ask(t, "GET", url+"/services/web?credentials=1", "").body
	require.Contains(t, with, `"password":"secret"`)
	require.Contains(t, with, `"extra":"secret"`)

	require.Equal(t, 204, ask(t, "DELETE", url+"/services/web/b", "").status)
	refused(t, 404, ask(t, "DELETE", url+"/services/web/b", ""))
	require.Equal(t, "a", ids("?all=1"))
}

func TestServiceErrors(t *testing.T) {
	_, url := start(t, Options{})
	for name, test := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no JSON":         {"PUT", "/services/web/a", "user=secret", 400},
		"wrong field":     {"PUT", "/services/web/a", `{"host":["secret"]}`, 400},
		"wrong port":      {"PUT", "/services/web/a", `{"ports":{"http":70000}}`, 400},
		"wrong state":     {"PUT", "/services/web/a", `{"state":"fine"}`, 400},
		"another service": {"PUT", "/services/web/a", `{"service":"db"}`, 400},
		"another ID":      {"PUT", "/services/web/a", `{"id":"b"}`, 400},
		"no ID":           {"PUT", "/services/web/", `{}`, 400},
		"no service":      {"PUT", "/services//a", `{}`, 400},
		"too large":       {"PUT", "/services/web/a", strings.Repeat(" ", 1<<20+1), 413},
		"ttl":             {"PUT", "/services/web/a?ttl=x", `{}`, 400},
		"post":            {"POST", "/services/web/a", `{}`, 405},
		"get":             {"GET", "/services/web/a", "", 405},
		"put a service":   {"PUT", "/services/web", `{}`, 405},
		"unknown key":     {"GET", "/services/web?credential=1", "", 400},
		"no boolean":      {"GET", "/services/web?credentials=yes", "", 400},
		"list's key":      {"GET", "/services?all=1", "", 400},
		"deeper":          {"GET", "/services/a/b/c", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, test.method, url+test.path, test.body)
			refused(t, test.status, a)
			require.NotContains(t, a.reason, "secret")
		})
	}
	require.Equal(t, "[]\n", ask(t, "GET", url+"/services", "").body)
}

// TestServiceNames: every byte in a name and an ID comes back as it was.
func TestServiceNames(t *testing.T) {
	_, base := start(t, Options{})
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for _, name := range []string{string(all[:128]), "é𝒳\u2028", ".", "..", "../../x", "a/b", "%2F", "a%b", " ", "?#&", "<script>", "-", "_x"} {
		path := base + "/services/" + escapeAll(name)
		body, err := json.Marshal(map[string]string{"service": name, "id": name, "host": "h"})
		require.NoError(t, err)
		put := ask(t, "PUT", path+"/"+escapeAll(name), string(body))
		require.Equal(t, 200, put.status, "%q: %s", name, put.reason)
		snapshot := snapshotOf(t, path)
		require.Equal(t, name, snapshot.Service)
		require.Len(t, snapshot.Instances, 1)
		require.Equal(t, name, snapshot.Instances[0].ID)
		require.Equal(t, 204, ask(t, "DELETE", path+"/"+escapeAll(name), "").status)
	}
	require.Equal(t, "[]\n", ask(t, "GET", base+"/services", "").body)
}

func TestInstanceRunsOut(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a?ttl=1s", `{"host":"h"}`).status)
	require.Eventually(t, func() bool {
		return len(snapshotOf(t, url+"/services/web").Instances) == 0
	}, patience, 50*time.Millisecond)
}

// TestRenewal: a repeat keeps the instance, and nobody who watches hears of it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	_, url := start(t, Options{})
	put := func(ttl string, body string) {
		t.Helper()
		a := ask(t, "PUT", url+"/services/web/a?ttl="+ttl, body)
		require.Equal(t, 200, a.status, a.reason)
	}
	put("4s", `{"host":"one"}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	snapshots, err := registry(t, url).Watch(ctx, "web", discovery.Query{})
	require.NoError(t, err)
	require.Len(t, (<-snapshots).Instances, 1)
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(200 * time.Millisecond) {
		put("4s", `{"host":"one"}`)
		select {
		case s := <-snapshots:
			t.Fatalf("a renewal was told: %v", s.Instances)
		default:
		}
	}
	for _, change := range []struct{ ttl, host string }{{"4s", "two"}, {"1h", "three"}, {"3s", "four"}} {
		put(change.ttl, `{"host":"`+change.host+`"}`)
		require.Equal(t, change.host, (<-snapshots).Instances[0].Host)
	}
	require.Eventually(t, func() bool { return len((<-snapshots).Instances) == 0 }, patience, time.Millisecond)
}

// TestTakeOver: the newest registrant has the ID, by HTTP or by a client.
func TestTakeOver(t *testing.T) {
	_, url := start(t, Options{})
	registration, err := registry(t, url).Register(t.Context(), discovery.Instance{Service: "web", ID: "a", Host: "client"}, time.Second)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a?ttl=1h", `{"host":"http"}`).status)
	select {
	case <-registration.Done():
	case <-time.After(patience):
		t.Fatal("the client's registration goes on")
	}
	require.ErrorIs(t, registration.Err(), discovery.ErrConflict)
	require.Equal(t, "http", snapshotOf(t, url+"/services/web").Instances[0].Host)
}
