package zookeeper

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

func TestConformance(t *testing.T) {
	conformance(t, "native", map[string]string{
		"/services/SERVICE/empty":       "",
		"/services/SERVICE/text":        "10.0.0.5:80",
		"/services/SERVICE/list":        "[]",
		"/services/SERVICE/null":        "null",
		"/services/SERVICE/ports":       `{"ports":{"http":"eighty"}}`,
		"/services/SERVICE/tags":        `{"tags":"blue"}`,
		"/services/SERVICE/dir/b":       `{}`,
		"/services/SERVICE/huge":        strings.Repeat("x", 900_000),
		"/services/SERVICE/%zz":         `{}`,
		"/services/SERVICE/un%5Fescape": `{}`,
		"/services/%zz":                 `{}`,
		"/services/empty":               "",
	}, registrytest.Server{
		Engine: Engine,
	})
}

func TestConformanceLighthouse(t *testing.T) {
	named := Engine
	named.Open = func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		b, err := open(config)
		if err == nil {
			b.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{resolved}, nil }
		}
		return &namer{b.registry}, err
	}
	conformance(t, "lighthouse", map[string]string{
		"/SERVICE/empty:1":    "",
		"/SERVICE/text:1":     "nonsense",
		"/SERVICE/null:1":     "null",
		"/SERVICE/port:1":     `{"ip":"h","port":"eighty"}`,
		"/SERVICE/noport:1":   `{"ip":"h"}`,
		"/SERVICE/metadata:1": `{"ip":"h","port":80,"metadata":"{"}`,
		"/SERVICE/object:1":   `{"ip":"h","port":80,"metadata":{}}`,
		"/SERVICE/huge:1":     strings.Repeat("x", 900_000),
		"/SERVICE/deep:1/a":   `x`,
		"/empty":              "",
	}, registrytest.Server{
		Engine:     named,
		PlainNames: true,
		Count:      200,
		Watchers:   50,
		Fit: func(in discovery.Instance) discovery.Instance {
			fit := discovery.Instance{Service: in.Service, Host: in.Host, Metadata: in.Metadata, State: discovery.Passing}
			if _, err := netip.ParseAddr(in.Host); err != nil {
				fit.Host = resolved.String() // the record's ip is an address
			}
			for _, port := range in.Ports {
				fit.Ports = map[string]discovery.Port{discovery.DefaultPort: port}
			}
			return fit
		},
	})
}

// resolved is the address of all names.
var resolved = netip.MustParseAddr("10.0.0.7")

// namer gives the suite's instances, which all are on one host, an fqdn each.
type namer struct{ *driver.Registry }

func (n *namer) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	if in.ID != "" {
		in.ID += ":1"
	}
	return n.Registry.Register(ctx, in, ttl, options...)
}

// conformance runs the suite over one layout, with a server of its own. malformed are nodes and what they hold
// below a prefix, SERVICE standing for a service.
func conformance(t *testing.T, layout string, malformed map[string]string, suite registrytest.Server) {
	server := testservers.DebianZooKeeper(t)
	link := testservers.NewLink(t, server.Address)
	dead := testservers.FreeAddress(t)
	at := func(address string) func(string) string {
		return func(prefix string) string { return "zk://" + address + "/" + prefix + "?layout=" + layout }
	}
	suite.URL, suite.FarURL = at(server.Address), at(link.Address)
	suite.MinTTL = 2 * testservers.ZooKeeperTick
	suite.Kill, suite.Restart, suite.Wipe = server.Kill, server.Start, server.Wipe
	suite.Pause, suite.Resume = server.Pause, server.Resume
	suite.Cut, suite.Mend = link.Cut, link.Mend
	suite.Compact = func(testing.TB) {} // it keeps no history: what a watch missed is always forgotten
	suite.Revoke = func(t testing.TB, prefix string) { expireBelow(t, server.Address, "/"+prefix) }
	suite.Malform = func(t testing.TB, prefix, service string) {
		other := newOtherClient(t, server.Address)
		for key, value := range malformed {
			other.put(t, "/"+prefix+strings.ReplaceAll(key, "SERVICE", service), []byte(value))
		}
	}
	suite.DeniedURL = "zk://web:canary-d6b1f2-wrong@" + server.Address + "/denied?layout=" + layout
	suite.Several = true
	suite.DeadURL, suite.DeadAddress = "zk://"+dead+"/dead?timeout=2s&layout="+layout, dead
	guard(t, server.Address, "/denied/services/web", "/denied/web", "/denied/environment", "/denied/lock")
	registrytest.Run(t, suite)
}

// guard makes nodes that only the user web with the password webpw may use.
func guard(t testing.TB, address string, paths ...string) {
	other := newOtherClient(t, address)
	defer other.close() // no goroutine of it is to be found as a leak
	for _, one := range paths {
		other.put(t, one, nil)
		_, err := other.conn.SetACL(one, zk.DigestACL(zk.PermAll, "web", "webpw"), -1)
		require.NoError(t, err)
	}
}

// otherClient is a plain client of ZooKeeper, as others have.
type otherClient struct {
	conn   *zk.Conn
	events <-chan zk.Event
}

type silence struct{}

func (silence) Printf(string, ...any) {}

func newOtherClient(t testing.TB, address string) *otherClient {
	conn, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(silence{}))
	require.NoError(t, err)
	other := &otherClient{conn, events}
	t.Cleanup(other.close)
	return other
}

// close may be called twice.
func (o *otherClient) close() {
	o.conn.Close()
	for range o.events {
	}
}

// put makes a node that is not ephemeral, and those above it.
func (o *otherClient) put(t testing.TB, at string, data []byte) {
	t.Helper()
	_, err := o.conn.Create(at, data, 0, zk.WorldACL(zk.PermAll))
	if err == zk.ErrNoNode {
		o.put(t, path.Dir(at), nil)
		_, err = o.conn.Create(at, data, 0, zk.WorldACL(zk.PermAll))
	}
	if err == zk.ErrNodeExists {
		return
	}
	require.NoError(t, err)
}

// owners gives the sessions that have ephemeral nodes below a node.
func (o *otherClient) owners(t testing.TB, at string, found map[int64]bool) {
	exists, stat, err := o.conn.Exists(at)
	require.NoError(t, err)
	if !exists {
		return
	}
	if stat.EphemeralOwner != 0 {
		found[stat.EphemeralOwner] = true
	}
	names, _, err := o.conn.Children(at)
	if err == zk.ErrNoNode {
		return
	}
	require.NoError(t, err)
	for _, name := range names {
		o.owners(t, at+"/"+name, found)
	}
}

// expireBelow makes the server end all sessions that have ephemeral nodes below a node, while their clients are
// well.
func expireBelow(t testing.TB, address, at string) {
	t.Helper()
	other := newOtherClient(t, address)
	first := map[int64]bool{}
	other.owners(t, at, first)
	require.NotEmpty(t, first)
	for left := first; ; {
		for id := range left {
			expire(t, address, id)
		}
		now := map[int64]bool{}
		other.owners(t, at, now)
		left = map[int64]bool{}
		for id := range first {
			if now[id] { // its client was quick, and took it back
				left[id] = true
			}
		}
		if len(left) == 0 {
			return
		}
	}
}

// expire ends a session behind its client's back: it takes the session over, by the password that a server
// makes out of its number, and closes it.
func expire(t testing.TB, address string, id int64) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	const timeout, passwordSize, closeSession = 10_000, 16, -11
	hello := binary.BigEndian.AppendUint32(nil, 0)  // version
	hello = binary.BigEndian.AppendUint64(hello, 0) // last change seen
	hello = binary.BigEndian.AppendUint32(hello, timeout)
	hello = binary.BigEndian.AppendUint64(hello, uint64(id))
	hello = append(binary.BigEndian.AppendUint32(hello, passwordSize), sessionPassword(id)...)
	bye, operation := binary.BigEndian.AppendUint32(nil, 1), int32(closeSession)
	bye = binary.BigEndian.AppendUint32(bye, uint32(operation))
	_, err = conn.Write(append(packet(hello), packet(bye)...))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, conn) // until the server hangs up
}

func packet(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// sessionPassword is java.util.Random's, seeded as ZooKeeper does it.
func sessionPassword(id int64) []byte {
	const multiplier, mask, secret = 0x5DEECE66D, 1<<48 - 1, 0xB3415C00
	seed := (uint64(id) ^ secret ^ multiplier) & mask
	var password []byte
	for len(password) < 16 {
		seed = (seed*multiplier + 0xB) & mask
		password = binary.LittleEndian.AppendUint32(password, uint32(seed>>16))
	}
	return password
}
