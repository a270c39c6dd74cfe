package docker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/testservers"
)

// TestSkyDNS: a container is resolvable by DNS, for those who come from registrator's skydns2.
func TestSkyDNS(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	store := testservers.EmbeddedEtcd(t)
	dns := testservers.ServeSkyDNS(t, "cluster.local", store.Address)
	registry := "etcd://" + store.Address + "/cluster.local?layout=skydns"
	l.export(nil, func(c *Config) { c.RegistryURL, c.TTL = registry, long }).follows()
	id := l.run("web:8080", publish("8080/tcp", ""))

	reads, err := engines.Open(l.ctx, registry)
	require.NoError(t, err)
	t.Cleanup(func() { reads.Close() })
	label := "host-" + l.id + "-" + id[:12]
	l.eventually(func() error {
		snapshot, err := reads.Instances(l.ctx, "web", discovery.Query{})
		if err == nil && !slices.ContainsFunc(snapshot.Instances, func(in discovery.Instance) bool { return in.ID == label }) {
			err = fmt.Errorf("announced are %v", snapshot.Instances)
		}
		return err
	})
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, dns.Address)
	}}
	addresses, err := resolver.LookupHost(l.ctx, label+".web.cluster.local")
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.5"}, addresses)
}
