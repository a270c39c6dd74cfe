package dns

import (
	"fmt"
	"testing"

	miekg "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// What the forms of records make: as Kubernetes, Consul, an ordinary zone and Compose have them.
func TestForms(t *testing.T) {
	t.Parallel()
	server := serve(t, zone(t,
		// a headless service of Kubernetes, with two ports
		"_http._tcp.web.ns.test. 5 IN SRV 0 50 8080 web-0.web.ns.test.",
		"_http._tcp.web.ns.test. 5 IN SRV 0 50 8080 web-1.web.ns.test.",
		"_metrics._tcp.web.ns.test. 5 IN SRV 0 50 9090 web-0.web.ns.test.",
		"_dns._udp.web.ns.test. 5 IN SRV 0 50 53 web-0.web.ns.test.",
		"web.ns.test. 5 IN SRV 0 50 8080 web-0.web.ns.test.",
		"web.ns.test. 5 IN SRV 0 50 9090 web-0.web.ns.test.",
		"web.ns.test. 5 IN SRV 0 50 9090 WEB-0.web.ns.test.", // the same once more
		"web.ns.test. 5 IN SRV 0 50 8080 web-1.web.ns.test.",
		"web.ns.test. 5 IN A 10.0.0.5",
		"web-0.web.ns.test. 5 IN A 10.0.0.5",
		"web-0.web.ns.test. 5 IN AAAA fd00::5",
		"web-1.web.ns.test. 5 IN AAAA fd00::6",
		// two of one service on one node of Consul
		"_app._tcp.service.test. 0 IN SRV 1 1 20001 0a000007.addr.test.",
		"_app._tcp.service.test. 0 IN SRV 1 1 20002 0a000007.addr.test.",
		"_app._tcp.service.test. 0 IN SRV 2 1 20003 0a000008.addr.test.",
		"0a000007.addr.test. 0 IN A 10.0.0.7",
		"0a000008.addr.test. 0 IN A 10.0.0.8",
		// addresses alone
		"db.compose.test. 600 IN A 172.18.0.3",
		"db.compose.test. 600 IN A 172.18.0.2",
		"db.compose.test. 600 IN AAAA fd00::2",
		"alias.compose.test. 600 IN CNAME db.compose.test.",
		"portless.ns.test. 5 IN SRV 0 50 0 web-0.web.ns.test.",
	))
	url := "dns://" + server.address
	for _, c := range []struct {
		zone, service string
		want          []discovery.Instance
	}{
		{"/ns.test", "web", []discovery.Instance{
			srv("web-0", "10.0.0.5", "0", "10.0.0.5,fd00::5", ports("8080", 8080, "9090", 9090)),
			srv("web-1", "fd00::6", "0", "", ports("default", 8080)),
		}},
		{"/ns.test?port=http,metrics,dns/udp", "web", []discovery.Instance{
			srv("web-0", "10.0.0.5", "0", "10.0.0.5,fd00::5", map[string]discovery.Port{
				"http": {Number: 8080, Protocol: "tcp"}, "metrics": {Number: 9090, Protocol: "tcp"}, "dns": {Number: 53, Protocol: "udp"},
			}),
			srv("web-1", "fd00::6", "0", "", ports("http", 8080)),
		}},
		{"/ns.test", "_metrics._tcp.web", []discovery.Instance{
			srv("web-0.web.ns.test", "10.0.0.5", "0", "10.0.0.5,fd00::5", ports("metrics", 9090)),
		}},
		{"/ns.test?port=80", "web", []discovery.Instance{plain("10.0.0.5", ports("default", 80))}},
		{"/ns.test", "portless", []discovery.Instance{
			srv("web-0.web.ns.test", "10.0.0.5", "0", "10.0.0.5,fd00::5", nil),
		}},
		{"/service.test", "app", []discovery.Instance{
			srv("0a000007.addr.test:20001", "10.0.0.7", "1", "", ports("default", 20001)),
			srv("0a000007.addr.test:20002", "10.0.0.7", "1", "", ports("default", 20002)),
			srv("0a000008.addr.test", "10.0.0.8", "2", "", ports("default", 20003)),
		}},
		{"/compose.test", "db", []discovery.Instance{plain("172.18.0.2", nil), plain("172.18.0.3", nil), plain("fd00::2", nil)}},
		{"/compose.test?port=postgresql=5432", "alias", []discovery.Instance{
			plain("172.18.0.2", ports("postgresql", 5432)), plain("172.18.0.3", ports("postgresql", 5432)),
			plain("fd00::2", ports("postgresql", 5432)),
		}},
		{"/", "db.compose.test", []discovery.Instance{plain("172.18.0.2", nil), plain("172.18.0.3", nil), plain("fd00::2", nil)}},
	} {
		snapshot, log, err := readService(t, url+c.zone, c.service)
		require.NoError(t, err, c.zone)
		for i := range c.want {
			c.want[i].Service = c.service
		}
		require.Equal(t, c.want, snapshot.Instances, "%s %s", c.zone, c.service)
		require.Empty(t, log)
	}
}

func srv(id, host, priority, addresses string, ports map[string]discovery.Port) discovery.Instance {
	in := discovery.Instance{ID: id, Host: host, Ports: ports, State: discovery.Passing, Metadata: map[string]string{"priority": priority}}
	if addresses != "" {
		in.Metadata["addresses"] = addresses
	}
	return in
}

func plain(address string, ports map[string]discovery.Port) discovery.Instance {
	return discovery.Instance{ID: address, Host: address, Ports: ports, State: discovery.Passing}
}

// ports makes tcp ports of names and numbers.
func ports(all ...any) map[string]discovery.Port {
	made := map[string]discovery.Port{}
	for i := 0; i < len(all); i += 2 {
		made[all[i].(string)] = discovery.Port{Number: all[i+1].(int), Protocol: "tcp"}
	}
	return made
}

// A name that is not there, and one that has no records of a kind, are empty snapshots, and told apart.
func TestNobody(t *testing.T) {
	t.Parallel()
	server := serve(t, zone(t, "there.test. 5 IN TXT x", "gone.test. 5 IN SRV 0 0 0 ."))
	for service, never := range map[string]bool{"never": true, "there": false, "gone": false} {
		snapshot, _, err := readService(t, "dns://"+server.address+"/test", service)
		require.NoError(t, err)
		require.NotNil(t, snapshot.Instances)
		require.Empty(t, snapshot.Instances)
		_, err = snapshot.First()
		require.ErrorIs(t, err, discovery.ErrNoInstance)
		if never {
			require.ErrorIs(t, err, discovery.ErrNotFound)
		} else {
			require.NotErrorIs(t, err, discovery.ErrNotFound)
		}
	}
}

// Some thousand records come by TCP, and their addresses by questions of their own.
func TestThousands(t *testing.T) {
	t.Parallel()
	const count = 1200
	var records []string
	for i := range count {
		records = append(records,
			fmt.Sprintf("big.test. 5 IN SRV 0 0 %d t%d.big.test.", i+1, i),
			fmt.Sprintf("t%d.big.test. 5 IN A 10.1.%d.%d", i, i/250, i%250))
	}
	reply := zone(t, records...)
	server := serve(t, func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
		answer.Compress = true
		return reply(q, answer)
	})
	snapshot, log, err := readService(t, "dns://"+server.address+"/test?timeout=1m", "big")
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, count)
	require.Empty(t, log)
	require.Positive(t, server.byTCP.Load())
	require.Equal(t, "10.1.0.0", hosts(snapshot)["t0"])
}
