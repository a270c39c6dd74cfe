package docker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// in makes the networks of a container, as name and address by turns.
func in(words ...string) map[string]netip.Addr {
	networks := map[string]netip.Addr{}
	for i := 0; i < len(words); i += 2 {
		networks[words[i]], _ = netip.ParseAddr(words[i+1])
	}
	return networks
}

// TestInner: which address of its own a container is announced at, and what is said of it.
func TestInner(t *testing.T) {
	for name, test := range map[string]struct {
		option    string
		container container
		want      string
		err       string
	}{
		"the only one":           {"container", container{networks: in("a", "172.17.0.2")}, "172.17.0.2", ""},
		"IPv6 only":              {"container", container{networks: in("a", "fd00::2")}, "fd00::2", ""},
		"the first by name":      {"container", container{networks: in("b", "172.18.0.2", "a", "172.17.0.2")}, "172.17.0.2", ""},
		"with an address":        {"container", container{networks: in("b", "172.18.0.2", "a", "")}, "172.18.0.2", ""},
		"chosen":                 {"container:b", container{networks: in("b", "172.18.0.2", "a", "172.17.0.2")}, "172.18.0.2", ""},
		"none":                   {"container", container{networks: in("none", "")}, "", "no address of its own"},
		"not there":              {"container:c", container{networks: in("b", "172.18.0.2", "a", "")}, "", "not in network c but in a, b"},
		"nowhere":                {"container:c", container{}, "", "not in network c, and in no other"},
		"no address there":       {"container:a", container{networks: in("a", "")}, "", "no address in network a"},
		"the host's network":     {"container:a", container{hostNetwork: true, networks: in("host", "")}, "10.0.0.5", ""},
		"by the host, published": {"host", container{networks: in("a", "172.17.0.2"), ports: at("0.0.0.0:8001")}, "10.0.0.5", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, c := testHost(), test.container
			var err error
			h.inner, err = parseInner(test.option)
			require.NoError(t, err)
			c.env, c.id = []string{"DISCOVER=web:80"}, testID
			r := h.instances(c, testAddresses)
			if test.err != "" {
				require.Empty(t, r.instances)
				require.ErrorContains(t, r.complaints[0], test.err)
				return
			}
			require.Equal(t, test.want, r.instances[0].Host)
			number := 80
			if !h.inner.enabled {
				number = 8001
			}
			require.Equal(t, number, r.instances[0].Ports["default"].Number)
			if name != "the first by name" {
				require.Empty(t, r.complaints)
				return
			}
			require.ErrorContains(t, r.complaints[0], "in the networks a, b: taking its address in a; choose by --docker-address container:NETWORK")
		})
	}
}

// TestAddressesIn: an IPv4 address is taken before one by IPv6.
func TestAddressesIn(t *testing.T) {
	ip := netip.MustParseAddr
	require.Equal(t, in("a", "10.1.0.2", "b", "fd00::2", "c", ""), addressesIn(map[string]*network.EndpointSettings{
		"a": {IPAddress: ip("10.1.0.2"), GlobalIPv6Address: ip("fd00::3")}, "b": {GlobalIPv6Address: ip("fd00::2")}, "c": {}, "d": nil,
	}))
}

// TestContainerAddress: without a published port, in the networks that it is connected to and disconnected from.
func TestContainerAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	mine, other := l.network("a"), l.network("b")
	chosen, alone := l.memory(), l.open("memory://alone-"+l.id)
	l.export(chosen, func(c *Config) { c.DockerAddress, c.reconcileEvery = "container:"+other, long }).follows()
	l.export(alone, func(c *Config) { c.DockerAddress, c.reconcileEvery = "container", long }).follows()
	id := l.run("web:8080", inNetwork(mine))
	joined := l.run("joined:8080", inNetwork("container:"+id), idle)
	host := l.run("hosted:70", inNetwork("host"), idle)
	entry := func(id, network string) string {
		return fmt.Sprintf("%s tcp://%s:8080", l.instanceID(id), l.addressIn(id, network))
	}
	l.announced(alone, "web", entry(id, mine))
	l.announced(alone, "joined", fmt.Sprintf("%s tcp://%s:8080", l.instanceID(joined), l.addressIn(id, mine)))
	l.announced(alone, "hosted", l.instanceID(host)+" tcp://10.0.0.5:70")
	l.announced(chosen, "web")

	_, err := l.engine.NetworkConnect(l.ctx, other, client.NetworkConnectOptions{Container: id})
	require.NoError(t, err)
	l.announced(chosen, "web", entry(id, other))
	_, err = l.engine.NetworkDisconnect(l.ctx, mine, client.NetworkDisconnectOptions{Container: id})
	require.NoError(t, err)
	l.announced(alone, "web", entry(id, other))
	_, err = l.engine.NetworkDisconnect(l.ctx, other, client.NetworkDisconnectOptions{Container: id})
	require.NoError(t, err)
	l.announced(chosen, "web")
	l.announced(alone, "web")
}

// network makes a network until the end of the test.
func (l *lab) network(name string) string {
	l.Helper()
	name = name + "-" + l.id
	_, err := l.engine.NetworkCreate(l.ctx, name, client.NetworkCreateOptions{Driver: "bridge"})
	require.NoError(l, err)
	l.Cleanup(func() { _, _ = l.engine.NetworkRemove(l.ctx, name, client.NetworkRemoveOptions{}) })
	return name
}

func (l *lab) addressIn(id, network string) netip.Addr {
	l.Helper()
	answer, err := l.engine.ContainerInspect(l.ctx, id, client.ContainerInspectOptions{})
	require.NoError(l, err)
	return answer.Container.NetworkSettings.Networks[network].IPAddress
}

// TestLabelledContainer: one instance with two ports by labels alone, tags and metadata, as everyone reads it.
func TestLabelledContainer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	name := "shop-" + l.id
	exporter := l.export(registry).follows()
	id := l.run("", publish("8080/tcp", ""), publish("9090/udp", ""), labelled("envharness.service", name), labelled("envharness.port.http", "8080"),
		labelled("envharness.port.stats", "9090/udp"), labelled("envharness.port.closed", "81"), labelled("envharness.tags", "blue"),
		labelled("envharness.metadata.version", "1.4"), labelled("envharness.shard", "eu"))
	var one discovery.Instance
	l.eventually(func() error {
		snapshot, err := registry.Instances(l.ctx, name, discovery.Query{Shard: "eu", Tags: []string{"blue"}})
		if err == nil && len(snapshot.Instances) != 1 {
			return fmt.Errorf("announced are %v", snapshot.Instances)
		}
		one = snapshot.Instances[0]
		return err
	})
	require.Equal(t, discovery.Port{Number: l.port(id), Protocol: "tcp"}, one.Ports["http"])
	require.Equal(t, "udp", one.Ports["stats"].Protocol)
	require.Len(t, one.Ports, 2)
	require.Equal(t, "1.4", one.Metadata["version"])
	exporter.says("level=WARN", name+":81/tcp", "does not publish")
	require.Len(t, exporter.Exported(), 2)
}
