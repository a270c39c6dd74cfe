package registryd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
)

// allOf reads all values by one question.
func allOf(t *testing.T, url string) map[string]any {
	t.Helper()
	got := ask(t, "GET", url+"/environment?values=1", "")
	require.Equal(t, 200, got.status, got.reason)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &all))
	return all
}

func TestAllValues(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, "{}\n", ask(t, "GET", url+"/environment?values=1", "").body)
	client := etcdClient(t, url)
	want := map[string]any{"BINARY": map[string]any{"base64": "/wE="}, "EMPTY": "", "TEXT": "a \"b\"\n<é>", "LONG": strings.Repeat("x", discovery.MaxValue)}
	for name, value := range map[string]string{"BINARY": "\xff\x01", "EMPTY": "", "TEXT": "a \"b\"\n<é>", "LONG": strings.Repeat("x", discovery.MaxValue)} {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/"+name, value).status)
	}
	require.Equal(t, want, allOf(t, url))
	var puts []clientv3.Op
	for i := range 10_000 {
		name := fmt.Sprintf("V%05d", i)
		want[name] = "value of " + name
		puts = append(puts, clientv3.OpPut("/envharness/environment/"+name, "value of "+name))
		if len(puts) == 100 {
			_, err := client.Txn(t.Context()).Then(puts...).Commit()
			require.NoError(t, err)
			puts = nil
		}
	}
	_, err := client.Put(t.Context(), "/envharness/environment/not/a/value", "x")
	require.NoError(t, err)
	require.Equal(t, want, allOf(t, url))

	require.Equal(t, "[\"", ask(t, "GET", url+"/environment?values=0", "").body[:2])
	refused(t, 400, ask(t, "GET", url+"/environment?values=yes", ""))
	refused(t, 400, ask(t, "GET", url+"/environment?value=1", ""))
	refused(t, 405, ask(t, "POST", url+"/environment?values=1", ""))
	refused(t, 421, ask(t, "GET", url+"/environment?values=1", "", "Host", "evil.example.org"))
	require.Empty(t, ask(t, "GET", url+"/environment?values=1", "", "Origin", "http://evil.example.org").header.Get("Access-Control-Allow-Origin"))
}

// TestAllValuesAtOnce: what is written while they are read is not among them.
func TestAllValuesAtOnce(t *testing.T) {
	server, url := start(t, Options{})
	client := etcdClient(t, url)
	for i := range 2 * valuesOnce {
		_, err := client.Put(t.Context(), fmt.Sprintf("/envharness/environment/V%03d", i), "old")
		require.NoError(t, err)
	}
	store := server.handler.store
	first, err := store.valuesFrom(t.Context(), store.keys.ValuesPrefix(), 0)
	require.NoError(t, err)
	require.True(t, first.More)
	_, err = client.Put(t.Context(), "/envharness/environment/V127", "new")
	require.NoError(t, err)
	second, err := store.valuesFrom(t.Context(), "/envharness/environment/V064", first.Header.Revision)
	require.NoError(t, err)
	require.Equal(t, "old", string(second.Kvs[63].Value))
	require.False(t, second.More)
}

// TestAllValuesRights: who may read some values gets them one by one, and not all of them.
func TestAllValuesRights(t *testing.T) {
	_, url := guarded(t, Options{})
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB_A", "x").status)
	refused(t, 403, as(t, "web", "webpw", "GET", url+"/environment?values=1", ""))
	refused(t, 401, as(t, "web", "wrong", "GET", url+"/environment?values=1", ""))
	refused(t, 401, ask(t, "GET", url+"/environment?values=1", ""))
	require.Equal(t, "{\"WEB_A\":\"x\"}\n", as(t, "root", "rootpw", "GET", url+"/environment?values=1", "").body)
}
