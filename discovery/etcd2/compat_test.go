package etcd2

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

// These tests look at a registry as the programs do that had these layouts first: by plain HTTP. They are
// the old clients, and the registry under test is the newcomer among them.

// openForTest opens a registry until the end of the test.
func openForTest(t testing.TB, url string, settings ...discovery.Setting) discovery.Registry {
	t.Helper()
	registry, err := discovery.NewEngines(Engine).Open(t.Context(), url, settings...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	return registry
}

func register(t testing.TB, registry discovery.Registry, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) discovery.Registration {
	t.Helper()
	registration, err := registry.Register(context.WithoutCancel(t.Context()), in, ttl, options...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, registration.WaitReady(ctx))
	return registration
}

func ports(name string, number int) map[string]discovery.Port {
	return map[string]discovery.Port{name: {Number: number}}
}

func publicInstance() discovery.Instance {
	return discovery.Instance{
		Service: "s", Host: "public.dev", PrivateHost: "node-1.internal", Ports: ports("http", 80), PrivatePorts: ports("http", 8080),
		User: "u", Password: "p", Shard: "s0", Critical: true, Public: true,
	}
}

// count waits until a read finds so many instances.
func count(t testing.TB, registry discovery.Registry, service string, want int) {
	t.Helper()
	waitFor(t, func() error {
		snapshot, err := registry.Instances(t.Context(), service, discovery.Query{})
		if err == nil && len(snapshot.Instances) != want {
			err = fmt.Errorf("%d instances, not %d", len(snapshot.Instances), want)
		}
		return err
	})
}

func TestScalingoHost(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	link := testservers.NewLink(t, server.Address)
	old := oldClient{server.Address}
	registry := openForTest(t, "etcd2://"+link.Address+"?layout=scalingo&timeout=3s")
	events := old.events(t, "/services/s")
	registration := register(t, registry, publicInstance(), 0)
	require.Equal(t, 5*time.Second, registration.TTL())

	want := `{"name":"public.dev","service_name":"s","ports":{"http":"80"},"user":"u","password":"p","public":true,
		"private_hostname":"node-1.internal","private_ports":{"http":"8080"},"critical":true,"shard":"s0","uuid":"` + registration.ID() + `"}`
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}-node-1\.internal$`, registration.ID())
	created := event(t, events)
	require.Equal(t, "set", created.Action)
	require.Nil(t, created.PrevNode)
	require.Equal(t, "/services/s/"+registration.ID(), created.Node.Key)
	require.JSONEq(t, want, created.Node.Value)
	require.Equal(t, 5, created.Node.TTL)

	again := event(t, events)                                  // written whole
	for try := 1; again.Action == "expire" && try < 3; try++ { // a write is due 1 s before: a busy machine may be late
		created = event(t, events)
		again = event(t, events)
	}
	require.Equal(t, "set", again.Action)
	require.Equal(t, created.Node.Value, again.PrevNode.Value)
	require.Equal(t, created.Node.Value, again.Node.Value)
	require.Equal(t, 5, again.Node.TTL)
	written := again.Node.Expiration.Sub(*created.Node.Expiration)
	require.GreaterOrEqual(t, written, 3900*time.Millisecond, "it is not written more often than each 4 s")

	link.Cut(t)
	next := event(t, events)
	for next.Action == "set" { // that was under way
		next = event(t, events)
	}
	require.Equal(t, "expire", next.Action)
	require.Equal(t, created.Node.Key, next.Node.Key)
	link.Mend(t)
	back := event(t, events)
	require.Equal(t, "set", back.Action)
	require.Nil(t, back.PrevNode, "to the old it is new")
	require.JSONEq(t, want, back.Node.Value)

	require.NoError(t, registration.Close())
	for next = event(t, events); next.Action == "set"; next = event(t, events) {
	}
	require.Equal(t, "delete", next.Action)
	require.Equal(t, created.Node.Key, next.Node.Key)
}

func TestScalingoService(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	old := oldClient{server.Address}
	registry := openForTest(t, "etcd2://"+server.Address+"?layout=scalingo")
	events := old.events(t, "/services_infos/s")

	private := register(t, registry, discovery.Instance{Service: "s", Host: "node-0.internal", Ports: ports("http", 80), Critical: true}, 0)
	first := event(t, events)
	require.JSONEq(t, `{"name":"s","critical":true}`, first.Node.Value)
	require.Nil(t, first.Node.Expiration)
	url, err := snapshotOf(t, registry, "s").URL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://node-0.internal:80/", url)

	ours := register(t, registry, publicInstance(), 0)
	set := event(t, events)
	require.Equal(t, "set", set.Action)
	require.JSONEq(t, `{"name":"s","critical":true,"hostname":"public.dev","user":"u","password":"p","ports":{"http":"80"},"public":true}`, set.Node.Value)
	require.Nil(t, set.Node.Expiration)
	url, err = snapshotOf(t, registry, "s").URL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://u:p@public.dev:80/", url)
	byShard, err := registry.Instances(t.Context(), "s", discovery.Query{Shard: "s0"})
	require.NoError(t, err)
	url, err = byShard.URL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://u:p@public.dev:80/", url)

	watch, err := registry.Watch(t.Context(), "s", discovery.Query{})
	require.NoError(t, err)
	require.Equal(t, "public.dev", (<-watch).Public.Host)

	// Another private one does not blank the public record.
	another := register(t, registry, discovery.Instance{Service: "s", Host: "node-3.internal"}, 0)
	require.JSONEq(t, set.Node.Value, old.get(t, "/services_infos/s").Node.Value)

	// An old public instance registers with other credentials: ours take them over.
	old.put(t, "/services_infos/s", values(`{"name":"s","critical":false,"hostname":"old.dev","user":"ou","password":"op","ports":{"http":"81"},"public":true}`, 0))
	old.put(t, "/services/s/uuid-of-old", values(`{"name":"old.dev","service_name":"s","ports":{"http":"81"},"user":"ou","password":"op","public":true,"private_hostname":"node-9","private_ports":{"http":"81"},"uuid":"uuid-of-old"}`, 5))
	require.Equal(t, set.Node.Value, event(t, events).PrevNode.Value)
	_, changes := ours.Credentials()
	select {
	case c := <-changes:
		require.Equal(t, discovery.Credentials{User: "ou", Password: "op"}, c)
	case <-time.After(patience):
		t.Fatal("the credentials did not change")
	}
	waitFor(t, func() error {
		if value := old.get(t, "/services/s/"+ours.ID()).Node.Value; !strings.Contains(value, `"user":"ou"`) {
			return fmt.Errorf("the record still has other credentials")
		}
		return nil
	})
	require.Contains(t, old.get(t, "/services_infos/s").Node.Value, "old.dev", "taking over credentials is not writing the address")
	for snapshot := range watch {
		if snapshot.Public.Host == "old.dev" {
			break
		}
	}
	url, err = snapshotOf(t, registry, "s").URL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://ou:op@old.dev:81/", url)

	// Ours changes its address, and is now the last writer; the credentials stay those in force.
	in := publicInstance()
	in.Ports = ports("http", 8888)
	require.NoError(t, ours.Update(t.Context(), in))
	require.JSONEq(t, `{"name":"s","critical":true,"hostname":"public.dev","user":"ou","password":"op","ports":{"http":"8888"},"public":true}`,
		event(t, events).Node.Value)

	// The old one dies, ours withdraw; the service's record stays.
	count(t, registry, "s", 3)
	for _, registration := range []discovery.Registration{private, another, ours} {
		require.NoError(t, registration.Close())
	}
	count(t, registry, "s", 0)
	require.Contains(t, old.get(t, "/services_infos/s").Node.Value, "public.dev")

	_, err = registry.Register(t.Context(), discovery.Instance{Service: "s", Host: "h"}, 0, discovery.SyncCredentials)
	require.ErrorIs(t, err, discovery.ErrInvalid)
}

func snapshotOf(t testing.TB, registry discovery.Registry, service string) discovery.Snapshot {
	t.Helper()
	snapshot, err := registry.Instances(t.Context(), service, discovery.Query{})
	require.NoError(t, err)
	return snapshot
}

// values is a form with a value and, if not 0, a TTL in seconds.
func values(value string, ttl int) url.Values {
	form := url.Values{"value": {value}}
	if ttl > 0 {
		form.Set("ttl", fmt.Sprint(ttl))
	}
	return form
}

// TestNotPassing: the old do not see who does not pass.
func TestNotPassing(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	old := oldClient{server.Address}
	for layout, directory := range map[string]string{
		"scalingo": "/services/web", "totem": "/discover/service/web", "containerpilot": "/containerpilot/web",
	} {
		t.Run(layout, func(t *testing.T) {
			registry := openForTest(t, "etcd2://"+server.Address+"?layout="+layout)
			leaves := func() (n int) {
				old.get(t, directory).Node.walk(func(n2 *node) {
					if !n2.Dir {
						n++
					}
				})
				return n
			}
			in := discovery.Instance{ID: "h:a", Service: "web", Host: "10.0.0.5", Ports: ports("http", 80), State: discovery.Starting}
			registration := register(t, registry, in, 4*time.Second)
			require.Zero(t, leaves())
			for range 2 {
				in.State = discovery.Passing
				require.NoError(t, registration.Update(t.Context(), in))
				require.Equal(t, 1, leaves())
				in.State = discovery.Draining
				require.NoError(t, registration.Update(t.Context(), in))
				require.Zero(t, leaves())
			}
			time.Sleep(3 * time.Second / 2) // a renewal
			require.Zero(t, leaves())
			require.NoError(t, registration.Close())
			require.NoError(t, registration.Err())
		})
	}
}

func TestTotem(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	link := testservers.NewLink(t, server.Address)
	old := oldClient{server.Address}
	registry := openForTest(t, "etcd2://"+link.Address+"?layout=totem&timeout=3s")
	in := discovery.Instance{
		ID: "host1:0123456789ab", Service: "web", Host: "10.0.0.5", Ports: ports("http", 49157), Metadata: map[string]string{"realm": "r"},
	}
	const key, host = "/discover/service/web/r/host1/0123456789ab", "/discover/host/host1/0123456789ab"
	old.put(t, host, values("{}", 0)) // seen by a discover that knew no services of it
	events := old.events(t, "/discover/service/web")

	registration := register(t, registry, in, 4*time.Second)
	created := event(t, events)
	require.Equal(t, "set", created.Action)
	require.Nil(t, created.PrevNode)
	require.Equal(t, key, created.Node.Key)
	require.Equal(t, "tcp://10.0.0.5:49157", created.Node.Value)
	require.Equal(t, 4, created.Node.TTL)
	require.JSONEq(t, `{"web":"discover/service/web/r/host1/0123456789ab"}`, old.get(t, host).Node.Value)

	time.Sleep(6 * time.Second) // renewals are not to be seen, but happen
	require.Equal(t, "tcp://10.0.0.5:49157", old.get(t, key).Node.Value)
	require.NotNil(t, old.get(t, host).Node)
	in.Ports = ports("http", 49158)
	require.NoError(t, registration.Update(t.Context(), in))
	updated := event(t, events)
	require.Equal(t, "set", updated.Action)
	require.Equal(t, "tcp://10.0.0.5:49157", updated.PrevNode.Value)
	require.Equal(t, "tcp://10.0.0.5:49158", updated.Node.Value)

	// A second service of the same name, and one of another, in the same container.
	second, third := in, in
	second.ID, second.Ports = "host1:0123456789ab-8081", ports("http", 49159)
	third.Service, third.Ports = "stats", map[string]discovery.Port{"stats": {Number: 8125, Protocol: "udp"}}
	two, three := register(t, registry, second, 4*time.Second), register(t, registry, third, 4*time.Second)
	require.Equal(t, key+"-8081", event(t, events).Node.Key)
	require.Equal(t, "udp://10.0.0.5:8125", old.get(t, "/discover/service/stats/r/host1/0123456789ab").Node.Value)
	require.JSONEq(t, `{"web":"discover/service/web/r/host1/0123456789ab",
		"web:8081":"discover/service/web/r/host1/0123456789ab-8081",
		"stats":"discover/service/stats/r/host1/0123456789ab"}`, old.get(t, host).Node.Value)
	require.NoError(t, two.Close())
	require.Equal(t, "delete", event(t, events).Action)
	require.JSONEq(t, `{"web":"discover/service/web/r/host1/0123456789ab",
		"stats":"discover/service/stats/r/host1/0123456789ab"}`, old.get(t, host).Node.Value)

	// Nobody renews: all goes. Then all is back.
	link.Cut(t)
	require.Equal(t, "expire", event(t, events).Action)
	waitFor(t, func() error {
		if old.get(t, host).Node != nil {
			return fmt.Errorf("the container is still there")
		}
		return nil
	})
	link.Mend(t)
	back := event(t, events)
	require.Contains(t, []string{"create", "set"}, back.Action)
	require.Nil(t, back.PrevNode)
	waitFor(t, func() error {
		if n := old.get(t, host).Node; n == nil || !strings.Contains(n.Value, "web") || !strings.Contains(n.Value, "stats") {
			return fmt.Errorf("the container is not back: %v", n)
		}
		return nil
	})

	require.NoError(t, registration.Close())
	gone := event(t, events)
	require.Equal(t, "delete", gone.Action)
	require.Equal(t, key, gone.Node.Key)
	require.NoError(t, three.Close())
	require.Nil(t, old.get(t, host).Node)

	// What the old one writes has no TTL, and is read.
	old.put(t, "/discover/service/web/r2/host2/ba9876543210", values("tcp://10.0.0.6:1", 0))
	found, err := snapshotOf(t, registry, "web").First()
	require.NoError(t, err)
	require.Equal(t, "host2:ba9876543210", found.ID)
	address, err := found.URL("http", "/")
	require.NoError(t, err)
	require.Equal(t, "http://10.0.0.6:1/", address)
	old.delete(t, "/discover/service/web/r2/host2/ba9876543210")
	count(t, registry, "web", 0)
}

func TestContainerPilot(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	link := testservers.NewLink(t, server.Address)
	old := oldClient{server.Address}
	registry := openForTest(t, "etcd2://"+link.Address+"?layout=containerpilot&timeout=3s",
		discovery.WithGetenv(func(name string) string { return map[string]string{"HOSTNAME": "host1"}[name] }))
	events := old.events(t, "/containerpilot/app")
	registration := register(t, registry, discovery.Instance{Service: "app", Host: "10.0.0.5", Ports: ports("http", 8000)}, 5*time.Second)
	require.Equal(t, "app-host1", registration.ID())

	const directory = "/containerpilot/app/app-host1"
	made := event(t, events)
	require.Equal(t, "set", made.Action)
	require.Equal(t, directory, made.Node.Key)
	require.True(t, made.Node.Dir)
	require.Equal(t, 5, made.Node.TTL)
	written := event(t, events)
	require.Equal(t, "set", written.Action)
	require.Equal(t, directory+"/service", written.Node.Key)
	require.JSONEq(t, `{"id":"app-host1","name":"app","address":"10.0.0.5","port":8000,"tags":null}`, written.Node.Value)
	require.Nil(t, written.Node.Expiration)
	for range 4 { // heartbeats: longer than the TTL
		renewal := event(t, events)
		require.Equal(t, "update", renewal.Action)
		require.Equal(t, directory, renewal.Node.Key)
		require.Equal(t, 5, renewal.Node.TTL)
	}
	require.Equal(t, written.Node.Value, old.get(t, directory).Node.Nodes[0].Value)

	link.Cut(t)
	gone := event(t, events)
	for gone.Action == "update" {
		gone = event(t, events)
	}
	require.Equal(t, "expire", gone.Action)
	require.Equal(t, directory, gone.Node.Key)
	link.Mend(t)
	require.Equal(t, "set", event(t, events).Action)
	require.Equal(t, written.Node.Value, event(t, events).Node.Value)

	require.NoError(t, registration.Close())
	for gone = event(t, events); gone.Action == "update"; gone = event(t, events) {
	}
	require.Equal(t, "delete", gone.Action)
	require.Equal(t, directory, gone.Node.Key)
	require.True(t, gone.Node.Dir)

	// The old one announces itself, sends a heartbeat, and dies.
	snapshots, err := registry.Watch(t.Context(), "app", discovery.Query{})
	require.NoError(t, err)
	require.Empty(t, (<-snapshots).Instances)
	old.put(t, "/containerpilot/app/app-host2", url.Values{"dir": {"true"}, "ttl": {"60"}})
	old.put(t, "/containerpilot/app/app-host2/service", values(`{"id":"app-host2","name":"app","address":"10.0.0.6","port":1,"tags":["blue"]}`, 0))
	seen := <-snapshots
	require.Equal(t, "10.0.0.6", seen.Instances[0].Host)
	require.Equal(t, []string{"blue"}, seen.Instances[0].Tags)
	old.put(t, "/containerpilot/app/app-host2", url.Values{"dir": {"true"}, "ttl": {"2"}, "prevExist": {"true"}})
	require.Empty(t, (<-snapshots).Instances)

	// Its key is taken over from it, as from any other.
	old.put(t, "/containerpilot/app/app-host1", url.Values{"dir": {"true"}, "ttl": {"60"}})
	old.put(t, "/containerpilot/app/app-host1/service", values(`{"id":"app-host1","name":"app","address":"10.0.0.7","port":1,"tags":null}`, 0))
	newer := register(t, registry, discovery.Instance{Service: "app", Host: "10.0.0.8", Ports: ports("http", 8000)}, 5*time.Second)
	found, err := snapshotOf(t, registry, "app").First()
	require.NoError(t, err)
	require.Equal(t, "10.0.0.8", found.Host)
	require.LessOrEqual(t, old.get(t, directory).Node.TTL, 5)
	old.put(t, "/containerpilot/app/app-host1/service", values(`{"id":"app-host1","name":"app","address":"10.0.0.9","port":1,"tags":null}`, 0))
	select {
	case <-newer.Done():
		require.ErrorIs(t, newer.Err(), discovery.ErrConflict)
	case <-time.After(patience):
		t.Fatal("it did not see that its key was taken")
	}
	require.Contains(t, old.get(t, directory).Node.Nodes[0].Value, "10.0.0.9", "withdrawal deletes only its own")
}

// TestNativeEvents: what one sees who watches the native records by hand.
func TestNativeEvents(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	old := oldClient{server.Address}
	registry := openForTest(t, "etcd2://"+server.Address)
	events := old.events(t, "/envharness/services/web")
	in := discovery.Instance{ID: "a_b", Service: "web", Host: "10.0.0.5", Ports: ports("http", 80)}
	registration := register(t, registry, in, time.Minute)
	first := event(t, events)
	require.Equal(t, "set", first.Action)
	require.Equal(t, "/envharness/services/web/a_b", first.Node.Key)
	require.Equal(t, 60, first.Node.TTL)
	// A field that this version does not know is kept.
	old.put(t, "/envharness/services/web/a_b", url.Values{
		"value":     {strings.Replace(first.Node.Value, `{"id"`, `{"new":{"x":1},"id"`, 1)},
		"ttl":       {"60"},
		"prevIndex": {fmt.Sprint(first.Node.ModifiedIndex)},
	})
	require.Equal(t, "compareAndSwap", event(t, events).Action)
	in.Ports = ports("http", 81)
	require.NoError(t, registration.Update(t.Context(), in))
	updated := event(t, events)
	require.Equal(t, "compareAndSwap", updated.Action)
	require.JSONEq(t, `{"id":"a_b","service":"web","host":"10.0.0.5","ports":{"http":{"number":81,"protocol":"tcp"}},"state":"passing","new":{"x":1}}`, updated.Node.Value)
	require.NoError(t, registration.Close())
	require.Equal(t, "compareAndDelete", event(t, events).Action)

	require.NoError(t, registry.(discovery.Values).Put(t.Context(), "DATABASE_URL", []byte("postgres://db"), 0))
	require.Equal(t, "postgres://db", old.get(t, "/envharness/environment/DATABASE_URL").Node.Value)
}

// TestFailover: one of two ways to the cluster is cut; watches go on by the other, without an outage.
func TestFailover(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	one, two := testservers.NewLink(t, server.Address), testservers.NewLink(t, server.Address)
	registry := openForTest(t, "etcd2://"+one.Address+","+two.Address+"?timeout=10s")
	near := openForTest(t, "etcd2://"+server.Address)
	stays := register(t, registry, discovery.Instance{ID: "stays", Service: "web", Host: "h", Ports: ports("http", 1)}, 20*time.Second)
	snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	require.Len(t, (<-snapshots).Instances, 1)
	for i, link := range []*testservers.Link{one, two} {
		link.Cut(t)
		next := register(t, near, discovery.Instance{ID: fmt.Sprint(i), Service: "web", Host: "h", Ports: ports("http", 1)}, time.Minute)
		defer next.Close()
		deadline := time.After(patience)
		for have := 0; have != 2+i; {
			select {
			case snapshot := <-snapshots:
				require.False(t, snapshot.Stale)
				require.GreaterOrEqual(t, len(snapshot.Instances), 1+i)
				have = len(snapshot.Instances)
			case <-deadline:
				t.Fatal("the watch does not go on")
			}
		}
		link.Mend(t)
	}
	require.NoError(t, stays.Err())
}

func TestNoV2(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t)
	registry := openForTest(t, "etcd2://"+server.Address)
	_, err := registry.Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.Contains(t, discovery.Hint(err), "--enable-v2")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	registry := openForTest(t, "etcd2://"+server.Address)
	require.NoError(t, registry.Close())
	_, err := registry.Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrUnavailable)
}

func TestURLs(t *testing.T) {
	for _, bad := range []string{
		"etcd2://h/a//b", "etcd2://h/../b", "etcd2://h/a/.", "etcd2://h/%ff", "etcd2://h?layout=lighthouse", "etcd2://h?ca=/x", "etcd2s://h?ca=/does/not/exist",
		"etcd2://h:0/", "etcd2://h?user-file=/does/not/exist",
	} {
		_, err := discovery.NewEngines(Engine).Open(t.Context(), bad)
		require.ErrorIs(t, err, discovery.ErrInvalid, bad)
	}
	require.Equal(t, []string{"etcd2", "etcd2s"}, slices.Sorted(maps.Keys(map[string]bool{
		discovery.NewEngines(Engine).Schemes()[0]: true, discovery.NewEngines(Engine).Schemes()[1]: true,
	})))
}

func TestValueEncoding(t *testing.T) {
	for _, value := range []string{"", "text\n", "\x00", "\xff", "\x00base64:", "\x00base64:!", "ü"} {
		require.Equal(t, value, string(decodeValue(encodeValue([]byte(value)))))
	}
	require.Equal(t, "ü\n", encodeValue([]byte("ü\n")))
	require.Equal(t, "\x00base64:!", string(decodeValue("\x00base64:!")))
}

// TestShortConnections: something on the way ends each connection soon, as proxies do with idle ones. That
// is no outage.
func TestShortConnections(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--enable-v2")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var ended atomic.Int64
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			timer := time.AfterFunc(1500*time.Millisecond, func() {
				near.Close()
				ended.Add(1)
			})
			wait.Go(func() {
				defer timer.Stop()
				testservers.Carry(near, server.Address)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wait.Wait()
	})
	registry, near := openForTest(t, "etcd2://"+listener.Addr().String()), openForTest(t, "etcd2://"+server.Address)
	snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	require.Empty(t, (<-snapshots).Instances)
	for round := range 3 {
		before := ended.Load()
		waitFor(t, func() error {
			if ended.Load() < before+2 {
				return fmt.Errorf("the long poll was not ended yet")
			}
			return nil
		})
		register(t, near, discovery.Instance{ID: fmt.Sprint(round), Service: "web", Host: "h", Ports: ports("http", 1)}, time.Minute)
		for have := round; have <= round; {
			snapshot := <-snapshots
			require.False(t, snapshot.Stale)
			have = len(snapshot.Instances)
		}
	}
}
