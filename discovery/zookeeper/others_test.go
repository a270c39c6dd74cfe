package zookeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

func idsOf(s discovery.Snapshot) []string {
	var ids []string
	for _, in := range s.Instances {
		ids = append(ids, in.ID)
	}
	return ids
}

// update is tried again on a busy machine: it has a second, as the TTL is three.
func update(t *testing.T, registration discovery.Registration, in discovery.Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, discovery.Retry(ctx, func(ctx context.Context) error { return registration.Update(ctx, in) }))
}

func hasHost(host string) func(discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return !s.Stale && len(s.Instances) == 1 && s.Instances[0].Host == host
	}
}

// testDataOnly: a change of what a node holds, with no node coming or going, is seen each time.
func testDataOnly(t *testing.T, server *testservers.ZooKeeper) {
	other := newOtherClient(t, server.Address)
	other.put(t, "/data-only/services/web/a", []byte(`{"host":"h0"}`)) // it is not ephemeral: somebody's static record
	r := openForTest(t, "zk://"+server.Address+"/data-only")
	snapshots, err := r.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	registrytest.Await(t, snapshots, hasHost("h0"))
	for _, host := range []string{"h1", "h2", "h3"} {
		_, err := other.conn.Set("/data-only/services/web/a", []byte(`{"host":"`+host+`"}`), -1)
		require.NoError(t, err)
		registrytest.Await(t, snapshots, hasHost(host))
	}
	require.NoError(t, other.conn.Delete("/data-only/services/web/a", -1))
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) == 0 })
	require.NoError(t, other.conn.Delete("/data-only/services/web", -1)) // and the service's own node comes and goes
	other.put(t, "/data-only/services/web/b", []byte(`{"host":"h4"}`))
	registrytest.Await(t, snapshots, hasHost("h4"))
}

// testExpiry: the server ends the session while the service is well, which registers again as it then is.
func testExpiry(t *testing.T, server *testservers.ZooKeeper) {
	r := openForTest(t, "zk://"+server.Address+"/expiry")
	registration := register(t, r, web("a", 80))
	changed := web("a", 81)
	changed.Host = "changed"
	update(t, registration, changed)
	other := newOtherClient(t, server.Address)
	_, before, err := other.conn.Get("/expiry/services/web/a")
	require.NoError(t, err)
	expireBelow(t, server.Address, "/expiry")
	require.Eventually(t, func() bool {
		data, after, err := other.conn.Get("/expiry/services/web/a")
		return err == nil && after.EphemeralOwner != before.EphemeralOwner && strings.Contains(string(data), "changed")
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
	require.NoError(t, registration.Close())
	_, _, err = other.conn.Get("/expiry/services/web/a")
	require.ErrorIs(t, err, zk.ErrNoNode)
}

// testRemovedByOthers: a node that somebody removed comes back, its session being well.
func testRemovedByOthers(t *testing.T, server *testservers.ZooKeeper) {
	registration := register(t, openForTest(t, "zk://"+server.Address+"/removed-by-others"), web("a", 80))
	other := newOtherClient(t, server.Address)
	require.NoError(t, other.conn.Delete("/removed-by-others/services/web/a", -1))
	require.Eventually(t, func() bool {
		exists, _, err := other.conn.Exists("/removed-by-others/services/web/a")
		return err == nil && exists
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
}

// testInTheWay: a node of others at our place is taken over as another's record is, unless others have put
// something below it.
func testInTheWay(t *testing.T, server *testservers.ZooKeeper) {
	other := newOtherClient(t, server.Address)
	other.put(t, "/in-the-way/services/web/a", []byte("theirs"))
	other.put(t, "/in-the-way/services/web/b/below", []byte("theirs"))
	r := openForTest(t, "zk://"+server.Address+"/in-the-way")
	register(t, r, web("a", 80))
	_, stat, err := other.conn.Get("/in-the-way/services/web/a")
	require.NoError(t, err)
	require.NotZero(t, stat.EphemeralOwner)

	registration, err := r.Register(t.Context(), web("b", 80), 0)
	require.NoError(t, err)
	err = registration.WaitReady(t.Context())
	require.ErrorIs(t, err, discovery.ErrConflict)
	require.ErrorContains(t, err, "in the way")
	exists, _, err := other.conn.Exists("/in-the-way/services/web/b/below")
	require.NoError(t, err)
	require.True(t, exists)

	other.put(t, "/in-the-way-too", nil)
	_, err = other.conn.Create("/in-the-way-too/services", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)) // which has no room below it
	require.NoError(t, err)
	registration, err = openForTest(t, "zk://"+server.Address+"/in-the-way-too").Register(t.Context(), web("a", 80), 0)
	require.NoError(t, err)
	err = registration.WaitReady(t.Context())
	require.ErrorIs(t, err, discovery.ErrConflict)
	require.ErrorContains(t, err, "in the way")

	huge := web("c", 80)
	huge.Metadata = map[string]string{"huge": strings.Repeat("x", maxRequest)}
	_, err = r.Register(t.Context(), huge, 0)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	large := web("c", 80)
	large.Metadata = map[string]string{"large": strings.Repeat("x", maxRequest-10_000)}
	registration = register(t, r, web("c", 80))
	update(t, registration, large)
	require.ErrorIs(t, registration.Update(t.Context(), huge), discovery.ErrInvalid)
	expireBelow(t, server.Address, "/in-the-way/services/web/c") // it needs more room than its first session had
	require.Eventually(t, func() bool {
		data, now, err := other.conn.Get("/in-the-way/services/web/c")
		return err == nil && len(data) > maxRequest-10_000 && now.Version == 0
	}, patience, 20*time.Millisecond)
	require.NoError(t, registration.Err())
}

// testUnreadable: a record that others have locked hides none beside it, and is seen once it is open. Who may
// read nothing is told so.
func testUnreadable(t *testing.T, server *testservers.ZooKeeper) {
	r := openForTest(t, "zk://"+server.Address+"/unreadable")
	other := newOtherClient(t, server.Address)
	require.NoError(t, other.conn.AddAuth("digest", []byte("hostile:pw")))
	own := register(t, r, web("a", 80))
	snapshots, err := r.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	has := func(ids ...string) func(discovery.Snapshot) bool {
		return func(s discovery.Snapshot) bool { return !s.Stale && slices.Equal(idsOf(s), ids) }
	}
	registrytest.Await(t, snapshots, has("a"))
	for _, locked := range []string{"/unreadable/services/web/locked", "/unreadable/services/locked"} {
		_, err = other.conn.Create(locked, []byte(`{"host":"h"}`), 0, zk.DigestACL(zk.PermAll, "hostile", "pw"))
		require.NoError(t, err)
	}
	register(t, r, web("b", 81))
	registrytest.Await(t, snapshots, has("a", "b"))
	snapshot, err := r.Instances(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, idsOf(snapshot))
	services, err := r.Services(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"web"}, services)
	late, err := openForTest(t, "zk://"+server.Address+"/unreadable").Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	registrytest.Await(t, late, has("a", "b"))

	_, err = other.conn.Set("/unreadable/services/web/locked", []byte(`{"host":"still locked"}`), -1)
	require.NoError(t, err)
	_, err = other.conn.SetACL("/unreadable/services/web/locked", zk.WorldACL(zk.PermAll), -1)
	require.NoError(t, err)
	c := register(t, r, web("c", 82)) // of the lock alone the server tells nobody
	registrytest.Await(t, snapshots, has("a", "b", "c", "locked"))
	_, err = other.conn.Set("/unreadable/services/web/locked", []byte(`{"host":"open"}`), -1)
	require.NoError(t, err)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return s.Instances[3].Host == "open" })
	require.NoError(t, c.Close())

	_, err = other.conn.Create("/unreadable/services/web/a/below", nil, 0, zk.WorldACL(zk.PermAll))
	require.ErrorIs(t, err, zk.ErrNoChildrenForEphemerals, "which nobody can put in the way of a withdrawal")
	require.NoError(t, own.Close())
	_, err = other.conn.Create("/unreadable/services/db", nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	_, err = other.conn.Create("/unreadable/services/db/locked", nil, 0, zk.DigestACL(zk.PermAll, "hostile", "pw"))
	require.NoError(t, err)
	_, err = r.Instances(t.Context(), "db", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrDenied)
	_, err = r.Watch(t.Context(), "db", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrDenied)
}

// testLockedUnderWatch: a service that is locked while it is watched becomes stale, never empty, and is
// followed again when it is open. A server need not tell of changes to what is locked, so its being read anew is
// forced.
func testLockedUnderWatch(t *testing.T, server *testservers.ZooKeeper) {
	other := newOtherClient(t, server.Address)
	other.put(t, "/locked-under-watch/services/web/a", []byte(`{"host":"h1"}`))
	b := backendForTest(t, "zk://"+server.Address+"/locked-under-watch")
	snapshots, err := b.registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	registrytest.Await(t, snapshots, hasHost("h1"))
	require.NoError(t, other.conn.AddAuth("digest", []byte("web:webpw")))
	_, err = other.conn.SetACL("/locked-under-watch/services/web", zk.DigestACL(zk.PermAll, "web", "webpw"), -1)
	require.NoError(t, err)
	other.put(t, "/locked-under-watch/services/web/b", []byte(`{"host":"h2"}`))
	shared, err := b.Connected(t.Context(), patience)
	require.NoError(t, err)
	id, _ := shared.Identity()
	expire(t, server.Address, id)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool {
		require.Equal(t, []string{"a"}, idsOf(s))
		return s.Stale
	})
	_, err = other.conn.SetACL("/locked-under-watch/services/web", zk.WorldACL(zk.PermAll), -1)
	require.NoError(t, err)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return !s.Stale && slices.Equal(idsOf(s), []string{"a", "b"}) })
	_, err = other.conn.Set("/locked-under-watch/services/web/a", []byte(`{"host":"h3"}`), -1)
	require.NoError(t, err)
	registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return s.Instances[0].Host == "h3" })
}

// testNoGap: whatever happens while watches are set anew, after their session was lost or after a change, is
// seen with no change to follow.
func testNoGap(t *testing.T, server *testservers.ZooKeeper) {
	other := newOtherClient(t, server.Address)
	b := backendForTest(t, "zk://"+server.Address+"/no-gap")
	r := b.registry
	snapshots, err := r.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	values, err := r.WatchValue(t.Context(), "NAME")
	require.NoError(t, err)
	const rounds, changes, nodes = 15, 60, 5
	for round := range rounds {
		shared, err := b.Connected(t.Context(), patience)
		require.NoError(t, err)
		id, _ := shared.Identity()
		expired := make(chan struct{})
		go func() {
			defer close(expired)
			if round%3 > 0 { // in the others there are changes alone
				expire(t, server.Address, id)
			}
		}()
		want := map[string]string{}
		for i := range changes {
			node := fmt.Sprintf("/no-gap/services/web/%d", i%nodes)
			host := fmt.Sprintf("h%d-%d", round, i)
			if i%7 == 0 {
				err := other.conn.Delete(node, -1)
				require.True(t, err == nil || err == zk.ErrNoNode, err)
				delete(want, node)
				continue
			}
			record := []byte(`{"host":"` + host + `"}`)
			other.put(t, node, record)
			_, err := other.conn.Set(node, record, -1)
			require.NoError(t, err)
			want[node] = host
		}
		last := fmt.Sprint(round)
		other.put(t, "/no-gap/environment/NAME", nil)
		_, err = other.conn.Set("/no-gap/environment/NAME", []byte(last), -1)
		require.NoError(t, err)
		<-expired
		if round%3 > 0 {
			require.Eventually(t, shared.IsOver, patience, time.Millisecond)
		}
		registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool {
			got := map[string]string{}
			for _, in := range s.Instances {
				got["/no-gap/services/web/"+in.ID] = in.Host
			}
			return !s.Stale && maps.Equal(got, want)
		})
		deadline := time.After(patience)
		for seen := ""; seen != last; {
			select {
			case value := <-values:
				seen = string(value.Data)
			case <-deadline:
				t.Fatalf("the value is %q in place of %q", seen, last)
			}
		}
	}
}

// testForeignCandidates: nodes that are no candidates do not lead.
func testForeignCandidates(t *testing.T, server *testservers.ZooKeeper) {
	other := newOtherClient(t, server.Address)
	for _, name := range []string{"-", "a-", "0", "a-0", "a-00000000x1", "a-000000000000"} {
		other.put(t, "/foreign-candidates/director/NAME/"+name, nil)
	}
	r := openForTest(t, "zk://"+server.Address+"/foreign-candidates")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	leader, err := r.Campaign(ctx, "NAME", 3*time.Second)
	require.NoError(t, err)
	require.NoError(t, leader.Put(ctx, []byte("1")))
	require.NoError(t, leader.Close())
}

// testLighthouse: what its own programs write we find, and a plain client finds ours as its own kind's.
func testLighthouse(t *testing.T, server *testservers.ZooKeeper) {
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
	data, _, err = other.conn.Get("/apps/lighthouse/redis/redis1.int.local:6380")
	require.NoError(t, err)
	require.Contains(t, string(data), `"metadata":"{}"`)

	in.State = discovery.Failing // lighthouse's way to say so is to be gone
	update(t, second, in)
	exists, _, err := other.conn.Exists("/apps/lighthouse/redis/redis1.int.local:6380")
	require.NoError(t, err)
	require.False(t, exists)
	in.State = discovery.Passing
	update(t, second, in)

	other.put(t, "/apps/lighthouse/redis/redis2.int.local:6379", []byte(
		`{"host": "redis2.int.local", "ip": "10.0.1.9", "metadata": "{}", "port": "6379"}`))
	snapshot, err := r.Instances(t.Context(), "redis", discovery.Query{})
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, 3)
	url, err := snapshot.Instances[2].URL("redis", "")
	require.NoError(t, err)
	require.Equal(t, "redis://10.0.1.9:6379", url)
}

// testValueOutlivesWriter: a value with a TTL that a session can have lasts so long, whoever wrote it.
func testValueOutlivesWriter(t *testing.T, server *testservers.ZooKeeper) {
	reader := openForTest(t, "zk://"+server.Address+"/outlives-writer")
	values, err := reader.WatchValue(t.Context(), "NAME")
	require.NoError(t, err)
	require.False(t, (<-values).Found)
	writer := openForTest(t, "zk://"+server.Address+"/outlives-writer")
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
