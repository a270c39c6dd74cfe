package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// start is what a zone begins with.
const start = "$ORIGIN ns.svc.test.\n$TTL 1\n@ IN SOA a b 1 60 60 60 1\n@ IN NS a\na IN A 127.0.0.1\n"

// A zone of CoreDNS, by a server that goes away, comes back, and comes back without the name.
func TestCoreDNS(t *testing.T) {
	t.Parallel()
	var big strings.Builder
	for i := range 200 { // more than UDP carries
		fmt.Fprintf(&big, "_http._tcp.big IN SRV 0 0 %d t%d.big\nt%d.big IN A 10.1.0.%d\n", 8000+i, i, i, i)
	}
	address := testservers.FreeAddress(t)
	server := testservers.ServeZoneAt(t, address, "ns.svc.test", start+
		"_http._tcp.web IN SRV 0 0 8080 web-0.web\nweb-0.web IN A 10.0.0.5\n_http._tcp.web IN SRV 0 0 8080 web-1.web\nweb-1.web IN AAAA fd00::5\n"+
		"alias IN CNAME plain\nplain IN A 10.0.0.7\n"+big.String())
	registry, _ := openLogged(t, "dns://"+address+"/ns.svc.test?port=http,https&timeout=20s")

	snapshot, err := registry.Instances(t.Context(), "big", discovery.Query{})
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, 200)
	snapshot, err = registry.Instances(t.Context(), "alias", discovery.Query{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"10.0.0.7": "10.0.0.7"}, hosts(snapshot))
	_, err = registry.Instances(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	_, err = snapshot.URL("http", "/")
	require.ErrorIs(t, err, discovery.ErrUnknownScheme)

	watching, err := registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	web := registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return len(s.Instances) == 2 })
	require.Equal(t, map[string]string{"web-0": "10.0.0.5", "web-1": "fd00::5"}, hosts(web))
	url, err := web.URL("http", "/")
	require.NoError(t, err)
	require.Contains(t, []string{"http://10.0.0.5:8080/", "http://[fd00::5]:8080/"}, url)
	server.Kill(t)
	stale := registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return s.Stale })
	require.Len(t, stale.Instances, 2)
	server.Start(t)
	registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return !s.Stale && len(s.Instances) == 2 })
	server.Kill(t)
	testservers.ServeZoneAt(t, address, "ns.svc.test", start)
	gone := registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return !s.Stale })
	require.Empty(t, gone.Instances)

	require.NoError(t, discovery.NewEngines(Engine).Check(t.Context(), "dns://"+address+"/ns.svc.test"))
	_, err = registry.Instances(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	other, _ := openLogged(t, "dns://"+address+"/elsewhere.test")
	_, err = other.Instances(t.Context(), "web", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrDenied)
}

// Consul's own zone, whose TTL is 0: two of one service on one node, then one of them, then the name is gone.
func TestConsul(t *testing.T) {
	t.Parallel()
	agent := testservers.ForgetfulConsul(t, nil)
	client, err := api.NewClient(&api.Config{Address: agent.Address})
	require.NoError(t, err)
	register := func(id, address string, port int) {
		require.NoError(t, client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: "web", Address: address, Port: port}))
	}
	registry, _ := openLogged(t, "dns://"+agent.DNS+"/service.consul")
	watching, err := registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	first := <-watching
	require.Empty(t, first.Instances)
	require.True(t, first.Never)
	register("a", "10.0.0.5", 20001)
	register("b", "10.0.0.5", 20002)
	register("c", "fd00::5", 80)
	all := registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return len(s.Instances) == 3 })
	found := []string{}
	for _, in := range all.Instances {
		found = append(found, fmt.Sprintf("%s %d", in.Host, in.Ports[discovery.DefaultPort].Number))
	}
	require.ElementsMatch(t, []string{"10.0.0.5 20001", "10.0.0.5 20002", "fd00::5 80"}, found)
	require.NoError(t, client.Agent().ServiceDeregister("a"))
	require.NoError(t, client.Agent().ServiceDeregister("c"))
	registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return len(s.Instances) == 1 })
	require.NoError(t, client.Agent().ServiceDeregister("b"))
	registrytest.Await(t, watching, func(s discovery.Snapshot) bool { return len(s.Instances) == 0 && !s.Stale })
}
