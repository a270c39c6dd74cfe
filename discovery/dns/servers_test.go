package dns

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

// Of several servers the next is tried when one is silent or not there, and the one that answered is asked first from
// then on.
func TestDeadFirstServer(t *testing.T) {
	t.Parallel()
	silent := serve(t, func(miekg.Question, *miekg.Msg) *miekg.Msg { return nil })
	good := serve(t, zone(t, "web.test. 5 IN SRV 0 0 80 a.test.", "a.test. 5 IN A 10.0.0.5"))
	for _, first := range []string{silent.address, testservers.FreeAddress(t)} {
		registry, _ := openLogged(t, "dns://"+first+","+good.address+"/test")
		for range 3 {
			snapshot, err := registry.Instances(t.Context(), "web", discovery.Query{})
			require.NoError(t, err)
			require.Equal(t, map[string]string{"a.test": "10.0.0.5"}, hosts(snapshot))
		}
	}
	require.Less(t, silent.asked.Load(), int64(4), "by the first question alone, unless the good one was slow")
}

// A short time-out is shared by all servers.
func TestShortTimeout(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	good := serve(t, zone(t, "web.test. 5 IN A 10.0.0.5"))
	require.Eventually(t, func() bool { // a busy machine may need more than a half of it
		snapshot, _, err := readService(t, "dns://"+silent.LocalAddr().String()+","+good.address+"/test?port=80&timeout=900ms", "web")
		return err == nil && len(snapshot.Instances) == 1
	}, time.Minute, time.Millisecond)
}

// Servers that are all dead are an error soon, which tells of each.
func TestDeadServers(t *testing.T) {
	t.Parallel()
	one, two := testservers.FreeAddress(t), testservers.FreeAddress(t)
	_, _, err := readService(t, "dns://"+one+","+two+"/test?timeout=1m", "web")
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, one+" (nobody listens there), "+two+" (nobody listens there)")
	require.NotEmpty(t, discovery.Hint(err))
	err = discovery.NewEngines(Engine).Check(t.Context(), "dns://"+one+"/test")
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, one)
}

// A server may be at an IPv6 address, or known by a name.
func TestServersByAddressAndName(t *testing.T) {
	t.Parallel()
	reply := zone(t, "web.test. 5 IN AAAA fd00::5")
	packets, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	server := &miekg.Server{PacketConn: packets, Handler: miekg.HandlerFunc(func(w miekg.ResponseWriter, q *miekg.Msg) {
		_ = w.WriteMsg(reply(q.Question[0], new(miekg.Msg).SetReply(q)))
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	defer func() { require.NoError(t, server.Shutdown()) }()
	snapshot, _, err := readService(t, "dns://"+packets.LocalAddr().String()+"/test", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"fd00::5": "fd00::5"}, hosts(snapshot))

	v4 := serve(t, zone(t, "web.test. 5 IN A 10.0.0.5"))
	_, port, err := net.SplitHostPort(v4.address)
	require.NoError(t, err)
	snapshot, _, err = readService(t, "dns://localhost:"+port+"/test", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"10.0.0.5": "10.0.0.5"}, hosts(snapshot))
}

// What resolv.conf says is done: its servers, and without a zone its search list and ndots. The file is read anew.
func TestSystemConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	for _, c := range []struct {
		text, url, service string
		servers, names     []string
	}{
		{"nameserver 10.0.0.10\nnameserver fd00::10\nsearch ns.svc.test svc.test\noptions ndots:5\n", "dns:///", "web",
			[]string{"10.0.0.10:53", "[fd00::10]:53"}, []string{"web.ns.svc.test.", "web.svc.test.", "web."}},
		{"nameserver 127.0.0.11\noptions ndots:0\n", "dns:///", "db", []string{"127.0.0.11:53"}, []string{"db."}},
		{"nameserver 10.0.0.10\nsearch a.test\n", "dns:///", "web.ns", []string{"10.0.0.10:53"}, []string{"web.ns.", "web.ns.a.test."}},
		{"nameserver 10.0.0.10\nsearch a.test\n", "dns:///ns.test", "web", []string{"10.0.0.10:53"}, []string{"web.ns.test."}},
		{"search a.test\n", "dns:///", "web", []string{"127.0.0.1:53"}, []string{"web.a.test.", "web."}},
		{"", "dns://10.0.0.1/", "web", []string{"10.0.0.1:53"}, []string{"web."}},
	} {
		write(c.text)
		_, config, err := discovery.NewEngines(Engine).Find(c.url)
		require.NoError(t, err)
		b, err := newBackend(config)
		require.NoError(t, err)
		b.resolver.system = file
		servers, err := b.resolver.servers(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.servers, servers)
		names, err := b.resolver.search(b.base(c.service))
		require.NoError(t, err)
		require.Equal(t, c.names, names)
		write("nameserver 10.9.9.9\n")
		if config.Hosts == nil {
			servers, err = b.resolver.servers(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"10.9.9.9:53"}, servers)
		}
	}
}

// The first name of the search list that has something is the service.
func TestSearch(t *testing.T) {
	t.Parallel()
	server := serve(t, zone(t, "web.svc.test. 5 IN A 10.0.0.5", "web.ns.test. 5 IN TXT x"))
	_, config, err := discovery.NewEngines(Engine).Find("dns:///")
	require.NoError(t, err)
	b, err := newBackend(config)
	require.NoError(t, err)
	b.resolver.system = filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(b.resolver.system, []byte("search ns.test svc.test\n"), 0o600))
	b.resolver.port = portOf(t, server.address)
	f, err := b.lookUp(t.Context(), "web")
	require.NoError(t, err)
	require.Len(t, f.instances, 1)
	require.Equal(t, "10.0.0.5", f.instances[0].Host)
	f, err = b.lookUp(t.Context(), "never")
	require.NoError(t, err)
	require.True(t, f.absent)
}

func portOf(t *testing.T, address string) string {
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}
