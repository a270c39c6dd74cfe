package consul

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// What Consul's own readers see: the instance without its credentials, and nothing while it does not pass.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	raw := rawClient(t, server.Address)
	registry := openForTest(t, "consul://"+server.Address)
	in := instance("web", "web-1", 80)
	in.User, in.Password, in.Tags = "u", "canary-d6b1f2", []string{"blue"}
	registration := announce(t, registry, in, 0)
	announce(t, registry, instance("db", "web-1", 81), 0) // an ID is unique within its service alone
	passing := func(service string) []*api.ServiceEntry {
		entries, _, err := raw.Health().Service(service, "", true, nil)
		require.NoError(t, err)
		return entries
	}
	found := passing("web")
	require.Len(t, found, 1)
	service := found[0].Service
	require.Equal(t, []any{"web-1", "10.0.0.5", 80, []string{"blue"}}, []any{service.ID, service.Address, service.Port, service.Tags})
	require.NotContains(t, service.Meta, "password")
	for _, value := range service.Meta {
		require.NotContains(t, value, "canary")
	}
	require.Len(t, passing("db"), 1)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "db", discovery.Query{}))
	record, _, err := raw.KV().Get("envharness/services/web/web-1", nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"web-1","service":"web","host":"10.0.0.5","ports":{"http":{"number":80,"protocol":"tcp"}},
		"user":"u","password":"canary-d6b1f2","tags":["blue"],"state":"passing"}`, string(record.Value))

	in.State = discovery.Draining
	require.NoError(t, registration.Update(t.Context(), in))
	require.Eventually(t, func() bool { return len(passing("web")) == 0 }, patience, 20*time.Millisecond)
	in.State = discovery.Passing
	require.NoError(t, registration.Update(t.Context(), in))
	require.Eventually(t, func() bool { return len(passing("web")) == 1 }, patience, 20*time.Millisecond)

	// An operator's maintenance hides it from us too, and a service of others is none of ours.
	require.NoError(t, raw.Agent().EnableServiceMaintenance("web-1", "test"))
	require.Eventually(t, func() bool { return len(ids(t, registry, "web", discovery.Query{})) == 0 }, patience, 20*time.Millisecond)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "web", discovery.Query{All: true}))
	require.NoError(t, raw.Agent().DisableServiceMaintenance("web-1"))
	require.Eventually(t, func() bool { return len(ids(t, registry, "web", discovery.Query{})) == 1 }, patience, 20*time.Millisecond)
	require.NoError(t, raw.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "others", Name: "web", Port: 70000}))
	pilots := openForTest(t, "consul://"+server.Address+"?layout=containerpilot")
	require.Eventually(t, func() bool { // the agent brings it into the catalogue in its own time
		return slices.Equal([]string{"others", "web-1"}, ids(t, pilots, "web", discovery.Query{}))
	}, patience, 20*time.Millisecond)
	require.Equal(t, []string{"web-1"}, ids(t, registry, "web", discovery.Query{All: true}))
	announce(t, pilots, instance("pilot", "pilot-h", 8000), 0)
	checks, _, err := raw.Health().Checks("pilot", nil)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	require.Equal(t, []string{"pilot-h", "pilot-h", "pilot-h"}, []string{checks[0].CheckID, checks[0].Name, checks[0].ServiceID})
}

// Consul's DNS gives who passes, and nobody else.
func TestDNS(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.DNS)
	}}
	for _, layout := range []string{"native", "containerpilot"} {
		registry := openForTest(t, "consul://"+server.Address+"/?layout="+layout)
		service := "of-" + layout
		name := service + ".service.consul."
		hosts := func() []string {
			hosts, err := resolver.LookupHost(t.Context(), name)
			var gone *net.DNSError
			if errors.As(err, &gone) && gone.IsNotFound {
				return nil
			}
			if err != nil { // on a busy machine its time may be over
				return []string{err.Error()}
			}
			slices.Sort(hosts)
			return hosts
		}
		gives := func(want ...string) {
			t.Helper()
			require.Eventually(t, func() bool { return slices.Equal(want, hosts()) }, patience, 20*time.Millisecond)
		}
		one, two := instance(service, service+"-1", 8001), instance(service, service+"-2", 8002)
		two.Host = "10.0.0.6"
		staying := announce(t, registry, one, 3*time.Second)
		changing := announce(t, registry, two, 3*time.Second)
		gives("10.0.0.5", "10.0.0.6")
		two.State = discovery.Draining
		update(t, changing, two)
		gives("10.0.0.5")
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			_, records, err := resolver.LookupSRV(t.Context(), "", "", name)
			require.NoError(c, err)
			require.Len(c, records, 1)
			require.EqualValues(c, 8001, records[0].Port)
		}, patience, 20*time.Millisecond)
		two.State = discovery.Passing
		update(t, changing, two)
		gives("10.0.0.5", "10.0.0.6")
		staying.Leave() // as a kill does
		gives("10.0.0.6")
		changing.Close()
		gives()
	}
}

// With enable-tag-override tags are what others make them in the catalogue, without it they are the instance's own.
func TestTagOverride(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	raw := rawClient(t, server.Address)
	for _, c := range []struct{ layout, override, has, lacks string }{
		{"native", "0", "blue", "green"},
		{"native", "1", "green", "blue"},
		{"containerpilot", "1", "green", "blue"},
	} {
		service := c.layout + "-" + c.override
		registry := openForTest(t, "consul://"+server.Address+"/?layout="+c.layout+"&enable-tag-override="+c.override)
		in := instance(service, service, 1)
		in.Tags = []string{"blue"}
		announce(t, registry, in, 0)
		snapshots, err := registry.Watch(t.Context(), service, discovery.Query{Tags: []string{c.has}})
		require.NoError(t, err)
		retag(t, raw, service, "green")
		registrytest.Await(t, snapshots, fresh(1))
		require.Equal(t, []string{service}, ids(t, registry, service, discovery.Query{Tags: []string{c.has}}))
		require.Empty(t, ids(t, registry, service, discovery.Query{Tags: []string{c.lacks}}))
	}
}

// retag changes the tags of a service's only instance in the catalogue, past its agent.
func retag(t testing.TB, raw *api.Client, service, tag string) {
	t.Helper()
	entries, _, err := raw.Health().Service(service, "", true, nil)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	changed := entries[0].Service
	changed.Tags = []string{tag}
	_, err = raw.Catalog().Register(&api.CatalogRegistration{
		Node: entries[0].Node.Node, Address: entries[0].Node.Address, SkipNodeUpdate: true, Service: changed,
	}, nil)
	require.NoError(t, err)
}
