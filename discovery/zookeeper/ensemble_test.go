package zookeeper

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// TestEnsemble: the leader is killed, then there is no quorum, then all is as before. Meanwhile nothing is
// lost, and nobody sees an empty service.
func TestEnsemble(t *testing.T) {
	t.Parallel()
	servers := testservers.DebianZooKeeperEnsemble(t, 3)
	var addresses []string
	for _, server := range servers {
		addresses = append(addresses, server.Address)
	}
	url := "zk://" + strings.Join(addresses, ",") + "/p"
	r, reader := openForTest(t, url), openForTest(t, url)
	a, err := r.Register(t.Context(), web("a", 80), 20*time.Second)
	require.NoError(t, err)
	await(t, a)
	require.NoError(t, r.Put(t.Context(), "NAME", []byte("1"), 0))
	snapshots, err := reader.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	has := func(ids ...string) func(discovery.Snapshot) bool {
		return func(s discovery.Snapshot) bool {
			require.NotEmpty(t, s.Instances, "never an empty snapshot for an outage")
			return !s.Stale && slices.Equal(idsOf(s), ids)
		}
	}
	registrytest.Await(t, snapshots, has("a"))

	first := leader(t, servers)
	servers[first].Kill(t)
	b, err := r.Register(t.Context(), web("b", 81), 20*time.Second)
	require.NoError(t, err)
	await(t, b)
	registrytest.Await(t, snapshots, has("a", "b"))
	require.NoError(t, discovery.Retry(t.Context(), func(ctx context.Context) error { return r.Put(ctx, "NAME", []byte("2"), 0) }))

	second := leader(t, servers)
	require.NotEqual(t, first, second)
	servers[second].Kill(t)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool {
		require.NotEmpty(t, s.Instances)
		return s.Stale
	})
	vain := make(chan error, 2) // each waits for its whole time
	go func() { vain <- b.Update(t.Context(), web("b", 82)) }()
	go func() { vain <- r.Put(t.Context(), "NAME", []byte("lost"), 0) }()
	_, err = reader.Instances(t.Context(), "web", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	for _, address := range addresses {
		require.ErrorContains(t, err, address)
	}
	require.Contains(t, discovery.Hint(err), "quorum")
	for range cap(vain) {
		require.ErrorIs(t, <-vain, discovery.ErrUnavailable)
	}
	c, err := r.Register(t.Context(), web("c", 83), 20*time.Second)
	require.NoError(t, err)

	servers[first].Start(t)
	await(t, c)
	updated := registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool {
		return !s.Stale && len(s.Instances) == 3 && s.Instances[1].Ports["http"].Number == 82
	})
	require.Equal(t, "a", updated.Instances[0].ID)
	data, err := reader.Get(t.Context(), "NAME")
	require.NoError(t, err)
	require.Equal(t, "2", string(data))
	for _, registration := range []discovery.Registration{a, b, c} {
		require.NoError(t, registration.Err())
	}
	if err := b.Close(); err != nil { // a busy machine may need more time than a withdrawal has
		require.ErrorIs(t, err, discovery.ErrUnavailable)
	}
	registrytest.Await(t, snapshots, has("a", "c"))
}

// leader waits for a server that leads.
func leader(t *testing.T, servers []*testservers.ZooKeeper) (index int) {
	t.Helper()
	require.Eventually(t, func() bool {
		index = slices.IndexFunc(servers, (*testservers.ZooKeeper).Leads)
		return index >= 0
	}, patience, 20*time.Millisecond)
	return index
}

// testCloseAfterOutage: however long an outage was, who withdraws when it is over does not wait until the
// session, which has come to rest for long between its tries, would look by itself.
func testCloseAfterOutage(t *testing.T, server *testservers.ZooKeeper) {
	for node, hold := range map[string]func(*testing.T, *driver.Registry) (withdraw func() error){
		"services/web": holdRegistration,
		"director/NAME": func(t *testing.T, r *driver.Registry) func() error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			leader, err := r.Campaign(ctx, "NAME", time.Minute)
			require.NoError(t, err)
			return leader.Close
		},
	} {
		t.Run(path.Base(node), func(t *testing.T) {
			t.Parallel()
			link := testservers.NewLink(t, server.Address)
			once(t, server, node, func(prefix string) error {
				closed := newDoor(t, net.Conn.Close)
				withdraw := hold(t, openForTest(t, "zk://"+link.Address+prefix))
				begin := time.Now()
				cutOff(t, link, closed)
				const longRest = 7 // tries, after which comes one of 6 s or so
				closed.await(t, max(longRest, closed.knocks.Load()+1))
				require.Greater(t, time.Since(begin), longRest*500*time.Millisecond, "it hammers the server")
				link.Aim(server.Address)
				return withdraw()
			})
		})
	}
}

// testCloseBesideDeafServer: who withdraws while the session waits for a server that stands still goes to
// another.
func testCloseBesideDeafServer(t *testing.T, server *testservers.ZooKeeper) {
	link := testservers.NewLink(t, server.Address)
	once(t, server, "services/web", func(prefix string) error {
		closed, deaf := newDoor(t, net.Conn.Close), newDoor(t, func(net.Conn) error { return nil })
		withdraw := holdRegistration(t, openForTest(t, "zk://"+link.Address+","+deaf.address+prefix))
		cutOff(t, link, closed)
		deaf.await(t, deaf.knocks.Load()+2)
		link.Aim(server.Address)
		return withdraw()
	})
}

// once tries a thing that ends with a withdrawal, which has two seconds, until that is enough: on a busy machine
// it may not be. Then nothing is left below the node.
func once(t *testing.T, server *testservers.ZooKeeper, node string, try func(prefix string) error) {
	t.Helper()
	var err error
	for i := range 4 {
		prefix := fmt.Sprintf("/close-%s-%d", path.Base(t.Name()), i)
		if err = try(prefix); err == nil {
			names, _, err := newOtherClient(t, server.Address).conn.Children(prefix + "/" + node)
			require.NoError(t, err)
			require.Empty(t, names)
			return
		}
	}
	require.NoError(t, err)
}

// holdRegistration holds one with a TTL so long that a rest is not bounded by it.
func holdRegistration(t *testing.T, r *driver.Registry) func() error {
	t.Helper()
	registration, err := r.Register(t.Context(), web("a", 80), time.Minute)
	require.NoError(t, err)
	await(t, registration)
	return registration.Close
}

// cutOff breaks the connections over a link, behind which is a door then.
func cutOff(t *testing.T, link *testservers.Link, instead *door) {
	t.Helper()
	link.Aim(instead.address)
	link.Drop(t)
}

// door is where a server should be. One that hangs up is as a server without a quorum, one that does nothing
// as a server that stands still.
type door struct {
	address string
	knocks  atomic.Int64
}

// await waits until so many have knocked.
func (d *door) await(t *testing.T, knocks int64) {
	t.Helper()
	require.Eventually(t, func() bool { return d.knocks.Load() >= knocks }, patience, 5*time.Millisecond)
}

func newDoor(t *testing.T, open func(net.Conn) error) *door {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &door{address: listener.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			d.knocks.Add(1)
			_ = open(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return d
}

// testFence: a leader that is cut off is followed, learns of it by itself, and writes no more.
func testFence(t *testing.T, server *testservers.ZooKeeper) {
	link := testservers.NewLink(t, server.Address)
	near, far := openForTest(t, "zk://"+server.Address+"/fence"), openForTest(t, "zk://"+link.Address+"/fence")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	old, err := far.Campaign(ctx, "NAME", 3*time.Second)
	require.NoError(t, err)
	require.NoError(t, old.Put(ctx, []byte("old")))
	link.Cut(t)
	newer, err := near.Campaign(ctx, "NAME", 3*time.Second)
	require.NoError(t, err)
	require.NoError(t, newer.Put(ctx, []byte("newer")))
	select {
	case <-old.Done():
	case <-ctx.Done():
		t.Fatal("the old leader, cut off, does not know that it is none")
	}
	link.Mend(t)
	require.ErrorIs(t, discovery.Retry(ctx, func(ctx context.Context) error { return old.Put(ctx, []byte("old again")) }), discovery.ErrConflict)
	require.ErrorIs(t, old.Delete(ctx), discovery.ErrConflict)
	data, err := near.Get(ctx, "NAME")
	require.NoError(t, err)
	require.Equal(t, "newer", string(data))
	require.NoError(t, newer.Close())
	_ = old.Close()
}
