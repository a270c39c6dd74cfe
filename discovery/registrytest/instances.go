package registrytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// full is an instance with everything.
func (s *suite) full() discovery.Instance {
	return discovery.Instance{
		ID:           "one",
		Service:      "web",
		Host:         "web.example",
		PrivateHost:  "node-1.internal",
		Ports:        map[string]discovery.Port{"http": {Number: 80, Protocol: "tcp"}},
		PrivatePorts: map[string]discovery.Port{"http": {Number: 8080, Protocol: "tcp"}},
		User:         "user",
		Password:     secret,
		Tags:         []string{"blue", "new"},
		Metadata:     map[string]string{"version": "1.2", "odd <&> \"key\"": "ü"},
		Shard:        "s0",
		State:        discovery.Passing,
		Critical:     true,
		Public:       true,
	}
}

// fit is what will be read back of what was registered, under the ID that it got.
func (s *suite) fit(in discovery.Instance, registration discovery.Registration) discovery.Instance {
	if s.Fit != nil {
		in = s.Fit(in)
	}
	in.ID = registration.ID()
	return in
}

func registerAndRead(s *suite) {
	registry := s.open()
	in := s.full()
	registration := s.steady(registry, in)
	if !s.OwnIDs && s.Fit == nil {
		require.Equal(s, "one", registration.ID())
	}
	require.GreaterOrEqual(s, registration.TTL(), s.ttl())
	require.NoError(s, registration.Err())
	credentials, changes := registration.Credentials()
	require.Equal(s, in.Credentials(), credentials)
	require.NotNil(s, changes)

	want := s.fit(in, registration)
	snapshot := s.read(s.open(), "web", discovery.Query{})
	require.Equal(s, []discovery.Instance{want}, snapshot.Instances)
	require.Equal(s, "web", snapshot.Service)
	require.False(s, snapshot.Stale)
	first, err := snapshot.First()
	s.noError(err)
	require.Equal(s, want, first)
	one, err := snapshot.One()
	s.noError(err)
	require.Equal(s, want, one)
	s.services(registry, "web")

	withdrawn := s.close(registration)
	closed(s, "Done", registration.Done())
	closed(s, "the channel of credentials", changes)
	require.NoError(s, registration.Err())
	s.close(registration)
	if withdrawn {
		require.Empty(s, s.read(registry, "web", discovery.Query{All: true}).Instances)
	} else {
		s.present(registry, "web")
	}
	s.services(registry)
	require.Error(s, registration.Update(s.ctx, in))
}

func update(s *suite) {
	registry := s.open()
	in := s.full()
	registration := s.steady(registry, in)
	in.Ports = map[string]discovery.Port{"http": {Number: 81, Protocol: "tcp"}}
	in.Service, in.ID = "ignored", "ignored"
	s.noError(registration.Update(s.ctx, in))
	in.Service = "web"
	require.Equal(s, []discovery.Instance{s.fit(in, registration)}, s.read(registry, "web", discovery.Query{}).Instances)

	s.isError(registration.Update(s.ctx, discovery.Instance{State: "odd"}), discovery.ErrInvalid)
	require.Len(s, s.read(registry, "web", discovery.Query{}).Instances, 1)

	in.State, in.Reason = discovery.Draining, "for maintenance"
	if s.fit(in, registration).State != discovery.Draining {
		return // the layout has no states
	}
	s.noError(registration.Update(s.ctx, in))
	require.Empty(s, s.read(registry, "web", discovery.Query{}).Instances)
	require.Equal(s, []discovery.Instance{s.fit(in, registration)}, s.read(registry, "web", discovery.Query{All: true}).Instances)
	in.State = discovery.Passing
	s.noError(registration.Update(s.ctx, in))
	in.Reason = ""
	require.Equal(s, []discovery.Instance{s.fit(in, registration)}, s.read(registry, "web", discovery.Query{}).Instances)
}

// Who asks for no TTL gets the layout's own, else the default of all.
func defaultTTL(s *suite) {
	registration := s.registerFor(s.open(), s.instance("web", "one", 1), 0)
	require.Equal(s, cmp.Or(s.DefaultTTL, discovery.DefaultTTL), registration.TTL())
}

// renewal: a registration outlives its TTL, also while it is updated all the time.
func renewal(s *suite) {
	registry := s.open()
	idle := s.registerFor(registry, s.instance("idle", "a", 1), s.keptTTL())
	busy := s.registerFor(registry, s.instance("busy", "b", 1), s.keptTTL())
	watching := s.watch(registry, "busy", discovery.Query{})
	end := time.Now().Add(3 * max(idle.TTL(), busy.TTL()) / 2)
	for n := 2; time.Now().Before(end); n++ {
		s.noError(busy.Update(s.ctx, s.instance("busy", "b", n)))
		require.Len(s, s.read(registry, "idle", discovery.Query{}).Instances, 1)
		time.Sleep(100 * time.Millisecond)
	}
	watching.await(busy.ID())
	_, _, empty := watching.counts()
	require.Zero(s, empty)
}

// endOfContext: the registration withdraws, though its context is cancelled.
func endOfContext(s *suite) {
	registry := s.open()
	ctx, cancel := context.WithCancel(s.ctx)
	registration, err := registry.Register(ctx, s.instance("web", "a", 1), time.Hour)
	s.noError(err)
	s.noError(registration.WaitReady(s.ctx))
	cancel()
	closed(s, "Done", registration.Done())
	require.ErrorIs(s, registration.Err(), context.Canceled)
	require.Empty(s, s.read(registry, "web", discovery.Query{All: true}).Instances)
}

func nobodyThere(s *suite) {
	snapshot := s.read(s.open(), "never", discovery.Query{})
	require.NotNil(s, snapshot.Instances)
	require.Empty(s, snapshot.Instances)
	_, err := snapshot.First()
	s.isError(err, discovery.ErrNoInstance)
	_, err = snapshot.One()
	s.isError(err, discovery.ErrNoInstance)
	_, err = snapshot.URL("http", "/")
	s.isError(err, discovery.ErrNoInstance)
	require.Equal(s, snapshot.Never, errors.Is(err, discovery.ErrNotFound))
}

func query(s *suite) {
	registry := s.open()
	in := s.instance("web", "a", 1)
	in.Shard, in.Tags = "s0", []string{"blue", "new"}
	probe := in
	if s.Fit != nil {
		probe = s.Fit(in)
	}
	s.need("shards and tags", probe.Shard != "" && len(probe.Tags) > 0)
	a := s.steady(registry, in)
	in = s.instance("web", "b", 2)
	in.Shard, in.Tags = "s1", []string{"blue"}
	b := s.steady(registry, in)
	for _, c := range []struct {
		query discovery.Query
		want  []string
	}{
		{discovery.Query{}, []string{a.ID(), b.ID()}},
		{discovery.Query{Shard: "s0"}, []string{a.ID()}},
		{discovery.Query{Tags: []string{"blue"}}, []string{a.ID(), b.ID()}},
		{discovery.Query{Tags: []string{"new", "blue"}}, []string{a.ID()}},
		{discovery.Query{Shard: "s1", Tags: []string{"new"}}, []string{}},
	} {
		slices.Sort(c.want)
		require.Equal(s, c.want, ids(s.read(registry, "web", c.query)), "%+v", c.query)
	}
	_, err := s.read(registry, "web", discovery.Query{Shard: "s2"}).First()
	s.isError(err, discovery.ErrNoInstanceOnShard)
	require.ErrorIs(s, err, discovery.ErrNoInstance)
}

func watchChanges(s *suite) {
	registry, other := s.open(), s.open()
	watching := s.watch(other, "web", discovery.Query{})
	watching.await()
	a := s.steady(registry, s.instance("web", "a", 1))
	watching.await(a.ID())
	b := s.steady(registry, s.instance("web", "b", 2))
	s.steady(registry, s.instance("web-of-others", "c", 3))
	watching.await(a.ID(), b.ID())
	s.noError(a.Update(s.ctx, s.instance("web", "a", 7)))
	s.eventually(func() error {
		watching.lock.Lock()
		defer watching.lock.Unlock()
		if watching.versions[a.ID()] != 7 {
			return fmt.Errorf("the watch has not seen the update")
		}
		return nil
	})
	s.close(a)
	watching.await(b.ID())
	s.close(b)
	watching.await()
	late := s.steady(registry, s.instance("late", "d", 4))
	s.watch(other, "late", discovery.Query{}).await(late.ID())
}

// watchQuery: an instance comes into view and goes out of it by its state.
func watchQuery(s *suite) {
	registry := s.open()
	in := s.instance("web", "a", 1)
	in.State = discovery.Starting
	if s.Fit != nil {
		s.need("states", s.Fit(in).State == discovery.Starting)
	}
	watching := s.watch(registry, "web", discovery.Query{})
	registration := s.steady(registry, in)
	watching.await()
	in.State = discovery.Passing
	s.noError(registration.Update(s.ctx, in))
	watching.await(registration.ID())
	in.State = discovery.Failing
	s.noError(registration.Update(s.ctx, in))
	watching.await()
}

// slowReader gets the newest, and not all that was in between.
func slowReader(s *suite) {
	registry := s.open()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	snapshots, err := registry.Watch(ctx, "web", discovery.Query{})
	s.noError(err)
	registration := s.steady(registry, s.instance("web", "a", 1))
	attentive := s.watch(registry, "web", discovery.Query{})
	const last = 100
	for n := 2; n <= last; n++ {
		s.noError(registration.Update(s.ctx, s.instance("web", "a", n)))
	}
	s.eventually(func() error {
		attentive.lock.Lock()
		defer attentive.lock.Unlock()
		if attentive.versions[registration.ID()] != last {
			return errors.New("the attentive reader has not seen the last")
		}
		return nil
	})
	read := 0
	for newest := 0; newest != last; read++ {
		if snapshot := receive(s, "snapshot", snapshots); len(snapshot.Instances) > 0 {
			newest = number(snapshot.Instances[0])
		}
	}
	require.Less(s, read, 10, "a slow reader must not get everything")
	cancel()
	closed(s, "the watch", snapshots)
}

// closing the registry ends what was opened from it.
func closing(s *suite) {
	registry, other := s.open(), s.open()
	registration, err := registry.Register(s.ctx, s.instance("web", "a", 1), time.Hour)
	s.noError(err)
	s.noError(registration.WaitReady(s.ctx))
	snapshots, err := registry.Watch(s.ctx, "web", discovery.Query{})
	s.noError(err)
	s.noError(registry.Close())
	closed(s, "the watch", snapshots)
	closed(s, "Done", registration.Done())
	require.NoError(s, registration.Err())
	require.Empty(s, s.read(other, "web", discovery.Query{All: true}).Instances)
	s.noError(registry.Close())
}

// hostileNames: every text is a name of its own.
func hostileNames(s *suite) {
	registry := s.open()
	names := []string{
		"a", "A", "a/b", "a%2Fb", "a/", "/", ".", "..", "../a", ".hidden", "_hidden", "a b", "a\nb", "a\x00b", "%", "%41",
		"ü", "\xff\xfe", "*", "?x=1#y", "'; drop", strings.Repeat("long", 100), "a-b", "a1",
	}
	if s.IgnoresCase {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "A" })
	}
	registered := []string{}
	for i, name := range names {
		in := s.instance(name, name, i+1)
		registration, err := registry.Register(s.ctx, in, time.Minute) // as this is of names and not of leases
		if s.PlainNames && err != nil {
			s.isError(err, discovery.ErrInvalid)
			continue
		}
		s.noError(err)
		s.noError(registration.WaitReady(s.ctx))
		registered = append(registered, name)
	}
	for i, name := range names {
		snapshot, err := registry.Instances(s.ctx, name, discovery.Query{})
		if s.PlainNames && err != nil {
			s.isError(err, discovery.ErrInvalid)
		}
		if s.PlainNames && !slices.Contains(registered, name) {
			continue
		}
		s.noError(err)
		require.Len(s, snapshot.Instances, 1, "service %q", name)
		require.Equal(s, i+1, number(snapshot.Instances[0]), "service %q", name)
		require.Equal(s, name, snapshot.Instances[0].Service)
		if !s.OwnIDs && s.Fit == nil {
			require.Equal(s, name, snapshot.Instances[0].ID)
		}
	}
	require.Greater(s, len(registered), 2)
	slices.Sort(registered)
	s.services(registry, registered...)
}

func invalidInput(s *suite) {
	registry := s.open()
	port := func(n int) map[string]discovery.Port { return map[string]discovery.Port{"http": {Number: n}} }
	for _, in := range []discovery.Instance{
		{},
		{Service: "web", Ports: port(0)},
		{Service: "web", Ports: port(65536)},
		{Service: "web", PrivatePorts: port(-1)},
		{Service: "web", State: "odd", Ports: port(1)},
	} {
		_, err := registry.Register(s.ctx, in, 0)
		s.isError(err, discovery.ErrInvalid)
	}
	_, err := registry.Register(s.ctx, s.instance("web", "a", 1), -time.Second)
	s.isError(err, discovery.ErrInvalid)
	_, err = registry.Instances(s.ctx, "", discovery.Query{})
	s.isError(err, discovery.ErrInvalid)
	_, err = registry.Watch(s.ctx, "", discovery.Query{})
	s.isError(err, discovery.ErrInvalid)
}

func malformedNeighbours(s *suite) {
	s.need("malformed records", s.Malform != nil)
	registry := s.open()
	a := s.steady(registry, s.instance("web", "a", 1))
	s.Malform(s, s.prefix, "web")
	require.Equal(s, []string{a.ID()}, ids(s.read(registry, "web", discovery.Query{All: true})))
	services, err := registry.Services(s.ctx)
	s.noError(err)
	require.Contains(s, services, "web")
	watching := s.watch(registry, "web", discovery.Query{All: true})
	watching.await(a.ID())
	s.Malform(s, s.prefix, "web")
	b := s.steady(registry, s.instance("web", "b", 2))
	watching.await(a.ID(), b.ID())
}

// sameIDTwice: the newest Register wins, the other ends, and takes nothing with it.
func sameIDTwice(s *suite) {
	s.need("one ID twice", !s.OwnIDs)
	registry, other := s.open(), s.open()
	old := s.register(registry, s.instance("web", "a", 1))
	watching := s.watch(registry, "web", discovery.Query{})
	newer := s.steady(other, s.instance("web", "a", 2))
	closed(s, "the older registration", old.Done())
	s.isError(old.Err(), discovery.ErrConflict)
	s.noError(old.Close())
	s.isError(old.Update(s.ctx, s.instance("web", "a", 3)), discovery.ErrConflict)
	snapshot := s.read(registry, "web", discovery.Query{})
	require.Len(s, snapshot.Instances, 1)
	require.Equal(s, 2, number(snapshot.Instances[0]))
	time.Sleep(old.TTL()) // what the older one left must not take the newer one's record along
	require.Len(s, s.read(registry, "web", discovery.Query{}).Instances, 1)
	require.NoError(s, newer.Err())
	_, _, empty := watching.counts()
	require.Zero(s, empty)
	s.close(newer)
	watching.await()
}

// leave: what was left stands until its TTL and no longer, whatever else its process has announced, so a successor
// with its ID makes no gap.
func leave(s *suite) {
	registry, other := s.open(), s.open()
	stays := s.register(registry, s.instance("stays", "stays-1", 1)) // an ID of its own, for layouts that need it
	left := s.register(registry, s.instance("left", "a", 1))
	gone := s.watch(other, "left", discovery.Query{All: true})
	gone.await(left.ID())
	left.Leave()
	closed(s, "Done", left.Done())
	require.NoError(s, left.Err())
	s.noError(left.Close())
	gone.await()
	s.present(other, "stays", stays.ID())
	require.NoError(s, stays.Err())

	s.need("one ID twice", !s.OwnIDs)
	former, err := registry.Register(s.ctx, s.instance("web", "a", 1), time.Hour)
	s.noError(err)
	s.noError(former.WaitReady(s.ctx))
	watching := s.watch(other, "web", discovery.Query{})
	former.Leave()
	s.noError(registry.Close())
	require.Len(s, s.read(other, "web", discovery.Query{}).Instances, 1)
	successor := s.steady(other, s.instance("web", "a", 2))
	watching.await(successor.ID())
	_, _, empty := watching.counts()
	require.Zero(s, empty)
	s.close(successor)
	watching.await()
}

// subscribe: who begins to pass and who ceases to.
func subscribe(s *suite) {
	registry := s.open()
	a := s.steady(registry, s.instance("web", "a", 1))
	ctx, cancel := context.WithCancel(s.ctx)
	up, err := discovery.SubscribeNew(ctx, registry, "web")
	s.noError(err)
	down, err := discovery.SubscribeDown(ctx, registry, "web")
	s.noError(err)
	b := s.steady(registry, s.instance("web", "b", 2))
	require.Equal(s, b.ID(), receive(s, "new instance", up).ID)
	s.close(a)
	gone := receive(s, "gone instance", down)
	require.Equal(s, a.ID(), gone.ID)
	require.Equal(s, 1, number(gone))
	cancel()
	closed(s, "SubscribeNew", up)
	closed(s, "SubscribeDown", down)
}

// unreachable: a bounded wait, then which address was tried.
func unreachable(s *suite) {
	s.need("a dead address", s.DeadURL != "")
	registry := s.openURL(s.DeadURL)
	_, err := registry.Instances(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrUnavailable)
	require.ErrorContains(s, err, s.DeadAddress)
	require.ErrorContains(s, err, "web")
	_, err = registry.Watch(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrUnavailable)
	if s.Feed != nil {
		return
	}
	_, err = registry.Services(s.ctx)
	s.isError(err, discovery.ErrUnavailable)
	registration, err := registry.Register(s.ctx, s.instance("web", "a", 1), 0)
	s.noError(err)
	ctx, cancel := context.WithTimeout(s.ctx, 8*time.Second)
	defer cancel()
	err = registration.WaitReady(ctx)
	s.isError(err, discovery.ErrUnavailable)
	require.ErrorIs(s, err, context.DeadlineExceeded)
	require.ErrorContains(s, err, s.DeadAddress)
	registration.Close() // its error is not defined: nothing may have come of it
	closed(s, "Done", registration.Done())
}

// unreachableFirst: the first server of a list lets nobody connect, or accepts and says nothing. Every call finds the
// second one in its time.
func unreachableFirst(s *suite) {
	s.need("several servers in a URL", s.Several)
	for name, first := range map[string]string{"drops packets": blackHole(s.T), "says nothing": mute(s.T)} {
		s.Run(name, func(t *testing.T) {
			s := newSuite(t, s.Server)
			registry := s.openURL(strings.Replace(s.with(s.URL(s.prefix), "timeout", "10s"), "://", "://"+first+",", 1))
			s.read(registry, "web", discovery.Query{})
			registration := s.register(registry, s.instance("web", "a", 1))
			s.watch(registry, "web", discovery.Query{}).await(registration.ID())
			s.noError(registration.Close())
		})
	}
}

// denied is not tried again.
func denied(s *suite) {
	s.need("wrong credentials", s.DeniedURL != "")
	registry := s.openURL(s.DeniedURL)
	_, err := registry.Instances(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrDenied)
	_, err = registry.Watch(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrDenied)
	registration, err := registry.Register(s.ctx, s.instance("web", "a", 1), 0)
	s.noError(err)
	s.isError(registration.WaitReady(s.ctx), discovery.ErrDenied)
	closed(s, "Done", registration.Done())
	s.isError(registration.Err(), discovery.ErrDenied)
	if checker, can := registry.(discovery.AccessChecker); can {
		s.isError(checker.MayWrite(s.ctx), discovery.ErrDenied)
	}
	if locker, can := registry.(discovery.Locker); can {
		_, err = locker.Lock(s.ctx, "a", s.ttl())
		s.isError(err, discovery.ErrDenied)
	}
}

func staleReads(s *suite) {
	a := s.steady(s.open(), s.instance("web", "a", 1))
	registry := s.openURL(s.with(s.patient(s.URL(s.prefix)), "stale", "1"))
	s.eventually(func() error {
		if got := ids(s.read(registry, "web", discovery.Query{})); len(got) != 1 || got[0] != a.ID() {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	s.watch(registry, "web", discovery.Query{}).await(a.ID())
}
