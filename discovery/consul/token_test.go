package consul

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
)

// A registration follows a token file that changes: the agent speaks for the service with the token that it was
// told with, also when the process is dead, and the former one may be gone by then.
func TestTokenChanges(t *testing.T) {
	t.Parallel()
	server := guardedConsul(t)
	for _, layout := range []string{"native", "containerpilot"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			service := "of-" + layout
			rules := `key_prefix "p/" { policy = "write" } session_prefix "" { policy = "write" }
				service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`
			former, next := newToken(t, server, rules), newToken(t, server, rules)
			told := make(chan struct{})
			tell := sync.OnceFunc(func() { close(told) })
			proxy := proxyConsul(t, server.Address, func(request *http.Request) {
				if request.URL.Path == "/v1/agent/service/register" && request.Header.Get("X-Consul-Token") == next {
					tell()
				}
			})
			file := tokenFile(t, former)
			registry := openForTest(t, "consul://"+proxy+"/p?layout="+layout+"&token-file="+file)
			registration := announce(t, registry, instance(service, service+"-1", 1), 3*time.Second)
			snapshots, err := registry.Watch(t.Context(), service, discovery.Query{})
			require.NoError(t, err)
			registrytest.Await(t, snapshots, fresh(1))

			require.NoError(t, os.WriteFile(file, []byte(next+"\n"), 0o600))
			awaitEnd(t, told, "the agent was not told with the new token")
			deleteToken(t, server.Address, former)
			registration.Leave()
			registrytest.Await(t, snapshots, fresh(0))
			critical, _, err := rawClient(t, server.Address).Health().Service(service, "", false, &api.QueryOptions{Token: management})
			require.NoError(t, err)
			require.Len(t, critical, 1)
			require.Equal(t, api.HealthCritical, critical[0].Checks.AggregatedStatus())
		})
	}
}

func deleteToken(t testing.TB, address, secret string) {
	t.Helper()
	raw := rawClient(t, address)
	token, _, err := raw.ACL().TokenReadSelf(&api.QueryOptions{Token: secret})
	require.NoError(t, err)
	_, err = raw.ACL().TokenDelete(token.AccessorID, &api.WriteOptions{Token: management})
	require.NoError(t, err)
}

// proxyConsul gives the address of a way to an agent on which saw sees each request that the agent has answered.
func proxyConsul(t testing.TB, address string, saw func(*http.Request)) string {
	t.Helper()
	way := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		way.ServeHTTP(w, request)
		saw(request)
	}))
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String()
}
