package consul

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// patience is how long a thing that must come may take on a busy machine.
const patience = 90 * time.Second

func instance(service, id string, port int) discovery.Instance {
	return discovery.Instance{
		ID:      id,
		Service: service,
		Host:    "10.0.0.5",
		Ports:   map[string]discovery.Port{"http": {Number: port, Protocol: "tcp"}},
	}
}

// announce registers an instance until the end of the test, and waits until it is announced.
func announce(t testing.TB, registry discovery.Registry, in discovery.Instance, ttl time.Duration) discovery.Registration {
	t.Helper()
	registration, err := registry.Register(context.WithoutCancel(t.Context()), in, ttl)
	require.NoError(t, err)
	t.Cleanup(func() { registration.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, registration.WaitReady(ctx))
	return registration
}

// ids gives who is there.
func ids(t testing.TB, registry discovery.Registry, service string, q discovery.Query) []string {
	t.Helper()
	snapshot, err := registry.Instances(t.Context(), service, q)
	require.NoError(t, err)
	all := []string{}
	for _, in := range snapshot.Instances {
		all = append(all, in.ID)
	}
	return all
}

// update changes an instance, whose agent may be busy.
func update(t testing.TB, registration discovery.Registration, in discovery.Instance) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, registration.Update(t.Context(), in))
	}, patience, 20*time.Millisecond)
}

func fresh(count int) func(discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool { return !s.Stale && len(s.Instances) == count }
}

func stale(s discovery.Snapshot) bool { return s.Stale }

// An agent that comes back with nothing, or with what it has on its disk, has everyone again.
func TestAgentRestart(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"native", "containerpilot"} {
		for what, start := range map[string]func(testing.TB, map[string]any) *testservers.Consul{
			"that forgets": testservers.ForgetfulConsul, "that remembers": testservers.ConsulAgent,
		} {
			t.Run(layout+" "+what, func(t *testing.T) {
				t.Parallel()
				server := start(t, nil)
				registry := openForTest(t, "consul://"+server.Address+"/?layout="+layout)
				long := announce(t, registry, instance("web", "web-long", 1), time.Hour)
				short := announce(t, registry, instance("web", "web-short", 2), 2*time.Second)
				snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{})
				require.NoError(t, err)
				registrytest.Await(t, snapshots, fresh(2))
				server.Kill(t)
				last := registrytest.Await(t, snapshots, stale)
				require.Len(t, last.Instances, 2)
				server.Start(t)
				update(t, short, instance("web", "web-short", 22))
				update(t, long, instance("web", "web-long", 21))
				back := registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool {
					return fresh(2)(s) && number(s.Instances[0]) == 21 && number(s.Instances[1]) == 22
				})
				require.NotEmpty(t, back.Revision)
				require.NoError(t, short.Err())
				require.NoError(t, long.Err())
				short.Close()
				left := registrytest.Await(t, snapshots, fresh(1))
				require.Equal(t, "web-long", left.Instances[0].ID)
			})
		}
	}
}

func number(in discovery.Instance) int {
	for _, port := range in.Ports {
		return port.Number
	}
	return 0
}

// A snapshot that is restored takes Consul's index back: the watch follows, and does not wait for the index
// that it had. A query that arrives just after that is one that Consul itself lets wait, so there are some tries.
func TestIndexRunsBackwards(t *testing.T) {
	t.Parallel()
	server := testservers.ConsulAgent(t, nil)
	raw := rawClient(t, server.Address)
	values := openForTest(t, "consul://"+server.Address+"/p").(discovery.Values)
	index := func() uint64 {
		_, meta, err := raw.KV().List("p/environment/", nil)
		require.NoError(t, err)
		return meta.LastIndex
	}
	follows := func() bool {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		require.NoError(t, values.Put(ctx, "NAME", []byte("old"), 0))
		before, early := save(t, raw), index()
		for range 50 {
			require.NoError(t, values.Put(ctx, "NAME", []byte("new"), 0))
		}
		require.Greater(t, index(), early)
		changes, err := values.WatchValue(ctx, "NAME")
		require.NoError(t, err)
		require.Equal(t, "new", string((<-changes).Data))
		restore(t, raw, before)
		require.LessOrEqual(t, index(), early)
		if !seesValue(changes, "old") {
			return false
		}
		require.NoError(t, values.Put(ctx, "NAME", []byte("newer"), 0))
		require.True(t, seesValue(changes, "newer"))
		return true
	}
	for tries := 1; !follows(); tries++ {
		require.Less(t, tries, 3)
	}
}

// seesValue reads a watch until it has a value, for less time than a query takes that waits in vain.
func seesValue(changes <-chan discovery.Value, want string) bool {
	deadline := time.After(pollWait / 2)
	for {
		select {
		case value := <-changes:
			if !value.Stale && string(value.Data) == want {
				return true
			}
		case <-deadline:
			return false
		}
	}
}

// What nobody renews is gone from our answers and from Consul's own, and stays in the catalogue as critical.
func TestDeath(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	raw := rawClient(t, server.Address)
	for _, layout := range []string{"native", "containerpilot"} {
		registry := openForTest(t, "consul://"+server.Address+"/?layout="+layout)
		service := "of-" + layout
		snapshots, err := registry.Watch(t.Context(), service, discovery.Query{All: true})
		require.NoError(t, err)
		registration := announce(t, registry, instance(service, service+"-1", 1), 2*time.Second)
		registrytest.Await(t, snapshots, fresh(1))
		registration.Leave() // as a kill does
		registrytest.Await(t, snapshots, fresh(0))
		passing, _, err := raw.Health().Service(service, "", true, nil)
		require.NoError(t, err)
		require.Empty(t, passing)
		all, _, err := raw.Health().Service(service, "", false, nil)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, api.HealthCritical, all[0].Checks.AggregatedStatus())
	}
	require.Empty(t, sessionsOf(t, raw))
}

// Two agents, one of them no server: the newest Register wins across them, and the other leaves nothing.
func TestTakeoverAtAnotherAgent(t *testing.T) {
	t.Parallel()
	server := testservers.ConsulAgent(t, nil)
	second := testservers.JoinConsul(t, server, "second")
	one, two := openForTest(t, "consul://"+server.Address), openForTest(t, "consul://"+second.Address)
	snapshots, err := two.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	old := announce(t, one, instance("web", "web-1", 1), 0)
	registrytest.Await(t, snapshots, fresh(1))
	announce(t, two, instance("web", "web-1", 2), 0)
	awaitEnd(t, old.Done(), "the older registration goes on")
	require.ErrorIs(t, old.Err(), discovery.ErrConflict)
	raw := rawClient(t, server.Address)
	require.Eventually(t, func() bool {
		all, _, err := raw.Health().Service("web", "", false, nil)
		return err == nil && len(all) == 1 && all[0].Node.Node == "second" && all[0].Service.Port == 2
	}, patience, 50*time.Millisecond)
	got := registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) != 1 || number(s.Instances[0]) == 2 })
	require.Len(t, got.Instances, 1)
	require.Len(t, sessionsOf(t, raw), 1, "a session that is left over would live with the newer's check")
}

// Who follows a dead process ends its session, which would go on for its TTL with the check of both.
func TestTakeoverFromTheDead(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	registry := openForTest(t, "consul://"+server.Address)
	announce(t, registry, instance("web", "web-1", 1), time.Hour).Leave()
	raw := rawClient(t, server.Address)
	require.Len(t, sessionsOf(t, raw), 1)
	announce(t, registry, instance("web", "web-1", 2), time.Hour)
	require.Len(t, sessionsOf(t, raw), 1)
}

func awaitEnd(t testing.TB, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// While the servers are away for longer than the TTL, the agent keeps what it was told: nobody is gone after it.
// Sessions last for 10s at least, however long the servers were away themselves: so this test hurries.
func TestServersAway(t *testing.T) {
	t.Parallel()
	server := testservers.ConsulAgent(t, nil)
	agent := testservers.JoinConsul(t, server, "second")
	registry := openForTest(t, "consul://"+agent.Address+"/?timeout=1s")
	registration := announce(t, registry, instance("web", "web-1", 1), 4*time.Second)
	var snapshots <-chan discovery.Snapshot
	err := discovery.Retry(t.Context(), func(context.Context) (err error) { // a second may be too little on a busy machine
		snapshots, err = registry.Watch(t.Context(), "web", discovery.Query{})
		return err
	})
	require.NoError(t, err)
	registrytest.Await(t, snapshots, fresh(1))
	server.Pause(t)
	long := time.After(registration.TTL() + registration.TTL()/2)
	registrytest.Await(t, snapshots, stale)
	_, err = registry.Instances(t.Context(), "web", discovery.Query{})
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.NotEmpty(t, discovery.Hint(err))
	<-long
	require.EventuallyWithT(t, func(c *assert.CollectT) { // what the agent will tell the servers
		checks, err := rawClient(t, agent.Address).Agent().Checks()
		require.NoError(c, err)
		require.Len(c, checks, 1)
		for _, check := range checks {
			require.Equal(c, api.HealthPassing, check.Status)
		}
	}, patience, 20*time.Millisecond)
	server.Resume(t)
	got := registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return !s.Stale })
	require.Len(t, got.Instances, 1)
	require.NoError(t, registration.Err())
}

// A leader that dies is followed, by a standby that waited all the time.
func TestLeaderDies(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	raw := rawClient(t, server.Address)
	dying, standby := openForTest(t, "consul://"+server.Address), openForTest(t, "consul://"+server.Address)
	first, err := dying.(discovery.Elector).Campaign(t.Context(), "ADDRESS", 0)
	require.NoError(t, err)
	require.NoError(t, first.Put(t.Context(), []byte("1")))
	led := make(chan discovery.Leadership, 1)
	go func() {
		if second, err := standby.(discovery.Elector).Campaign(t.Context(), "ADDRESS", 0); err == nil {
			led <- second
		}
	}()
	require.Eventually(t, func() bool { return len(sessionsOf(t, raw)) == 2 }, patience, 20*time.Millisecond)
	time.Sleep(2*minSession + 3*time.Second) // what no session lasts that nobody renews
	require.Len(t, sessionsOf(t, raw), 2)
	entry, _, err := raw.KV().Get("envharness/director/ADDRESS", nil)
	require.NoError(t, err)
	_, err = raw.Session().Destroy(entry.Session, nil)
	require.NoError(t, err)
	select {
	case second := <-led:
		require.NoError(t, second.Put(t.Context(), []byte("2")))
		err := first.Put(t.Context(), []byte("1 again"))
		require.ErrorIs(t, err, discovery.ErrConflict)
		require.NoError(t, second.Close())
	case <-time.After(patience):
		t.Fatal("nobody follows")
	}
	awaitEnd(t, first.Done(), "the former leader goes on")
	data, err := standby.(discovery.Values).Get(t.Context(), "ADDRESS")
	require.NoError(t, err)
	require.Equal(t, "2", string(data))
	require.Eventually(t, func() bool { return len(sessionsOf(t, raw)) == 0 }, patience, 20*time.Millisecond)
}

func sessionsOf(t testing.TB, raw *api.Client) []*api.SessionEntry {
	t.Helper()
	sessions, _, err := raw.Session().List(nil)
	require.NoError(t, err)
	return sessions
}

// A value whose TTL no session can keep is refused, and one with a TTL is held by a session that depends on no
// check.
func TestValueTTL(t *testing.T) {
	t.Parallel()
	server := testservers.ForgetfulConsul(t, nil)
	values := openForTest(t, "consul://"+server.Address).(discovery.Values)
	err := values.Put(t.Context(), "LONG", nil, maxSession+time.Second)
	require.ErrorIs(t, err, discovery.ErrUnsupported)
	require.NoError(t, values.Put(t.Context(), "SHORT", []byte("1"), 1500*time.Millisecond))
	sessions := sessionsOf(t, rawClient(t, server.Address))
	require.Len(t, sessions, 1)
	require.Equal(t, "10s", sessions[0].TTL)
	require.Empty(t, append(sessions[0].NodeChecks, sessions[0].Checks...))
	require.NoError(t, values.Delete(t.Context(), "SHORT"))
	_, err = values.Get(t.Context(), "SHORT")
	require.ErrorIs(t, err, discovery.ErrNotFound)
}
