package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// node is a key as a client of totem's sees it.
type node struct {
	Value string
	TTL   int
}

// v2 is the keys API that totem's clients use.
type v2 struct {
	lab     *lab
	address string
}

func (v v2) do(method, key string, form url.Values) (n node, found bool) {
	v.lab.Helper()
	request, err := http.NewRequestWithContext(v.lab.ctx, method, "http://"+v.address+"/v2/keys/"+key, strings.NewReader(form.Encode()))
	require.NoError(v.lab, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(v.lab, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return n, false
	}
	require.Less(v.lab, response.StatusCode, 300)
	var answer struct{ Node node }
	require.NoError(v.lab, json.NewDecoder(response.Body).Decode(&answer))
	return answer.Node, true
}

// holds waits until a key has a value and a TTL.
func (v v2) holds(key, value string) {
	v.lab.Helper()
	v.lab.eventually(func() error {
		n, found := v.do(http.MethodGet, key, nil)
		if !found || n.TTL <= 0 || n.Value != value && !sameJSON(n.Value, value) {
			return fmt.Errorf("%s has %+v, it should have %q and a TTL", key, n, value)
		}
		return nil
	})
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// gone waits until there is no such key.
func (v v2) gone(key string) {
	v.lab.Helper()
	v.lab.eventually(func() error {
		if n, found := v.do(http.MethodGet, key, nil); found {
			return fmt.Errorf("%s still has %+v", key, n)
		}
		return nil
	})
}

// TestTotem: totem's own clients find what they know on their etcd, and what its discover left there for
// ever is withdrawn.
func TestTotem(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server := testservers.DebianEtcd(t, "--enable-v2")
	totem := v2{l, server.Address}
	host := "host-" + l.id
	old := func(host string) string { return "totem/service/web/east/" + host + "/0123456789ab" }
	for _, h := range []string{host, "another-host"} {
		totem.do(http.MethodPut, old(h), url.Values{"value": {"tcp://10.0.0.4:49153"}})
	}
	totem.do(http.MethodPut, "totem/host/"+host+"/0123456789ab", url.Values{"value": {`{"web":"` + old(host) + `"}`}})

	id := l.run("web:8080, web:8081 stats:8125/udp", publish("8080/tcp", ""), publish("8081/tcp", ""), publish("8125/udp", ""))
	start := func() *running {
		return l.export(nil, func(c *Config) {
			c.RegistryURL = "etcd2://" + server.Address + "?layout=totem"
			c.Prefix, c.Realm, c.TTL = "totem", "east", long
		}).follows()
	}
	exporter := start()
	at := func(service, suffix string) string {
		return "totem/service/" + service + "/east/" + host + "/" + id[:12] + suffix
	}
	addresses := map[string]string{}
	for _, e := range exporter.Exported() {
		addresses[e.Service+e.Address[:3]] += e.Address + " "
	}
	require.Len(t, exporter.Exported(), 3)
	first := fmt.Sprintf("tcp://10.0.0.5:%d", l.port(id))
	second := strings.TrimSpace(strings.Replace(addresses["webtcp"], first, "", 1))
	totem.holds(at("web", ""), first)
	totem.holds(at("web", "-8081"), second)
	totem.holds(at("stats", ""), strings.TrimSpace(addresses["statsudp"]))
	published := map[string]string{"web": at("web", ""), "web:8081": at("web", "-8081"), "stats": at("stats", "")}
	text, err := json.Marshal(published)
	require.NoError(t, err)
	totem.holds("totem/host/"+host+"/"+id[:12], string(text))

	totem.gone(old(host))
	totem.gone("totem/host/" + host + "/0123456789ab")
	_, found := totem.do(http.MethodGet, old("another-host"), nil)
	require.True(t, found)

	exporter.stop()
	_, found = totem.do(http.MethodGet, at("web", ""), nil)
	require.True(t, found, "a clean stop leaves it to its TTL")
	start()
	totem.holds(at("web", ""), first)
	l.kill(id)
	totem.gone(at("web", ""))
	totem.gone(at("web", "-8081"))
	totem.gone(at("stats", ""))
	totem.gone("totem/host/" + host + "/" + id[:12])
}
