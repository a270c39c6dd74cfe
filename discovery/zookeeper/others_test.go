package zookeeper

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

// until reads a watch until a snapshot is as it should be.
func until(t *testing.T, snapshots <-chan discovery.Snapshot, right func(discovery.Snapshot) bool) discovery.Snapshot {
	t.Helper()
	deadline := time.After(patience)
	var last discovery.Snapshot
	for {
		select {
		case snapshot, ok := <-snapshots:
			require.True(t, ok, "the watch ended")
			if last = snapshot; right(snapshot) {
				return snapshot
			}
		case <-deadline:
			t.Fatalf("the watch's last is %+v", last)
		}
	}
}

func hasHost(host string) func(discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return !s.Stale && len(s.Instances) == 1 && s.Instances[0].Host == host
	}
}

// TestDataOnly: a change of what a node holds, with no node coming or going, is seen each time.
func TestDataOnly(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	other := newOtherClient(t, server.Address)
	other.put(t, "/p/services/web/a", []byte(`{"host":"h0"}`)) // it is not ephemeral: somebody's static record
	r := openForTest(t, "zk://"+server.Address+"/p")
	snapshots, err := r.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	until(t, snapshots, hasHost("h0"))
	for _, host := range []string{"h1", "h2", "h3"} {
		_, err := other.conn.Set("/p/services/web/a", []byte(`{"host":"`+host+`"}`), -1)
		require.NoError(t, err)
		until(t, snapshots, hasHost(host))
	}
	require.NoError(t, other.conn.Delete("/p/services/web/a", -1))
	until(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) == 0 })
	require.NoError(t, other.conn.Delete("/p/services/web", -1)) // and the service's own node comes and goes
	other.put(t, "/p/services/web/b", []byte(`{"host":"h4"}`))
	until(t, snapshots, hasHost("h4"))
}

// TestExpiry: the server ends the session while the service is well, which registers again as it then is.
func TestExpiry(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	r := openForTest(t, "zk://"+server.Address+"/p")
	registration := register(t, r, web("a", 80))
	changed := web("a", 81)
	changed.Host = "changed"
	require.NoError(t, registration.Update(t.Context(), changed))
	other := newOtherClient(t, server.Address)
	_, before, err := other.conn.Get("/p/services/web/a")
	require.NoError(t, err)
	expireBelow(t, server.Address, "/p")
	require.Eventually(t, func() bool {
		data, after, err := other.conn.Get("/p/services/web/a")
		return err == nil && after.EphemeralOwner != before.EphemeralOwner && strings.Contains(string(data), "changed")
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
	require.NoError(t, registration.Close())
	_, _, err = other.conn.Get("/p/services/web/a")
	require.ErrorIs(t, err, zk.ErrNoNode)
}

// TestRemovedByOthers: a node that somebody removed comes back, its session being well.
func TestRemovedByOthers(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	registration := register(t, openForTest(t, "zk://"+server.Address+"/p"), web("a", 80))
	other := newOtherClient(t, server.Address)
	require.NoError(t, other.conn.Delete("/p/services/web/a", -1))
	require.Eventually(t, func() bool {
		exists, _, err := other.conn.Exists("/p/services/web/a")
		return err == nil && exists
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
}

// TestInTheWay: a node of others at our place is taken over as another's record is, unless others have put
// something below it.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	other := newOtherClient(t, server.Address)
	other.put(t, "/p/services/web/a", []byte("theirs"))
	other.put(t, "/p/services/web/b/below", []byte("theirs"))
	r := openForTest(t, "zk://"+server.Address+"/p")
	register(t, r, web("a", 80))
	_, stat, err := other.conn.Get("/p/services/web/a")
	require.NoError(t, err)
	require.NotZero(t, stat.EphemeralOwner)

	registration, err := r.Register(t.Context(), web("b", 80), 0)
	require.NoError(t, err)
	err = registration.WaitReady(t.Context())
	require.ErrorIs(t, err, discovery.ErrConflict)
	require.ErrorContains(t, err, "in the way")
	exists, _, err := other.conn.Exists("/p/services/web/b/below")
	require.NoError(t, err)
	require.True(t, exists)

	huge := web("c", 80)
	huge.Metadata = map[string]string{"huge": strings.Repeat("x", maxRequest)}
	_, err = r.Register(t.Context(), huge, 0)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	large := web("c", 80)
	large.Metadata = map[string]string{"large": strings.Repeat("x", maxRequest-10_000)}
	registration = register(t, r, web("c", 80))
	require.NoError(t, registration.Update(t.Context(), large))
	require.ErrorIs(t, registration.Update(t.Context(), huge), discovery.ErrInvalid)
	expireBelow(t, server.Address, "/p/services/web/c") // it needs more room than its first session had
	require.Eventually(t, func() bool {
		data, now, err := other.conn.Get("/p/services/web/c")
		return err == nil && len(data) > maxRequest-10_000 && now.Version == 0
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
}

// TestLighthouse: what its own programs write we find, and a plain client finds ours as its own kind's.
func TestLighthouse(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	other := newOtherClient(t, server.Address)
	r := openForTest(t, "zk://"+server.Address+"/apps/lighthouse?layout=lighthouse", discovery.WithGetenv(func(name string) string {
		return map[string]string{"HOSTNAME": "redis1.int.local"}[name]
	}))
	in := discovery.Instance{
		ID: "redis-some-host-6379", Service: "redis", Host: "10.0.1.8", Metadata: map[string]string{"type": "master"},
		Ports: map[string]discovery.Port{"redis": {Number: 6379, Protocol: "tcp"}},
	}
	register(t, r, in)
	in.Ports = map[string]discovery.Port{"stats": {Number: 6380, Protocol: "tcp"}}
	in.Metadata = nil
	second := register(t, r, in)
	names, _, err := other.conn.Children("/apps/lighthouse/redis")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"redis1.int.local:6379", "redis1.int.local:6380"}, names)
	data, stat, err := other.conn.Get("/apps/lighthouse/redis/redis1.int.local:6379")
	require.NoError(t, err)
	require.NotZero(t, stat.EphemeralOwner)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	require.Len(t, fields, 5)
	require.Equal(t, "redis1.int.local", fields["host"])
	require.Equal(t, "10.0.1.8", fields["ip"])
	require.EqualValues(t, 6379, fields["port"])
	require.JSONEq(t, `{"type": "master"}`, fields["metadata"].(string))
	require.JSONEq(t, `{"ip": "10.0.1.8", "name": "redis1.int.local", "port": 1024}`, fields["peer"].(string))

	in.State = discovery.Failing // lighthouse's way to say so is to be gone
	require.NoError(t, second.Update(t.Context(), in))
	exists, _, err := other.conn.Exists("/apps/lighthouse/redis/redis1.int.local:6380")
	require.NoError(t, err)
	require.False(t, exists)
	in.State = discovery.Passing
	require.NoError(t, second.Update(t.Context(), in))

	other.put(t, "/apps/lighthouse/redis/redis2.int.local:6379", []byte(
		`{"host": "redis2.int.local", "ip": "10.0.1.9", "metadata": "{}", "port": "6379"}`))
	snapshot, err := r.Instances(t.Context(), "redis", discovery.Query{})
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, 3)
	url, err := snapshot.Instances[2].URL("redis", "")
	require.NoError(t, err)
	require.Equal(t, "redis://10.0.1.9:6379", url)
}

// TestValueOutlivesWriter: a value with a TTL that a session can have lasts so long, whoever wrote it.
func TestValueOutlivesWriter(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	reader := openForTest(t, "zk://"+server.Address+"/p")
	values, err := reader.WatchValue(t.Context(), "NAME")
	require.NoError(t, err)
	require.False(t, (<-values).Found)
	writer := openForTest(t, "zk://"+server.Address+"/p")
	require.NoError(t, writer.Put(t.Context(), "NAME", []byte("1"), 10*time.Second))
	require.NoError(t, writer.Close())
	data, err := reader.Get(t.Context(), "NAME")
	require.NoError(t, err)
	require.Equal(t, "1", string(data))
	require.True(t, (<-values).Found)
	select {
	case value := <-values:
		require.False(t, value.Found)
		require.False(t, value.Stale)
	case <-time.After(patience):
		t.Fatal("the value is still there")
	}
}
