// Package registrytest is the suite that every engine passes, against its real server.
//
// A [Server] tells what is tested and what can be done to it. What an engine or a layout cannot do is left
// out by leaving out the function; a test that needs it is then skipped by name.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/safebuffer"
)

// patience is how long a thing that must come may take on a busy machine.
const patience = 90 * time.Second

// secret is a password that must be in no log and no error.
const secret = "canary-d6b1f2"

// Server is an engine with its server.
type Server struct {
	Engine discovery.Engine

	// URL gives the registry with a prefix, that only one test uses.
	URL func(prefix string) string

	// Feed is for an engine that is read only: the engine and the URL of a registry whose announcements it finds under
	// URL's prefix. nil: announcements are made by the engine itself.
	Feed func(prefix string) (engine discovery.Engine, url string)

	// MinTTL is the least TTL that the engine grants.
	MinTTL time.Duration

	// DefaultTTL is what a registration gets that asks for no TTL: discovery.DefaultTTL when 0.
	DefaultTTL time.Duration

	// Fit reduces an instance to what the layout can write, as it is then read back; nil: all of it.
	Fit func(discovery.Instance) discovery.Instance

	// OwnIDs says that the layout makes the IDs, so that none can be registered twice.
	OwnIDs bool

	// PlainNames says that the layout does not escape names: odd ones are ErrInvalid.
	PlainNames bool

	// ValuesAlone says that the layout has no services: only what concerns values is tested.
	ValuesAlone bool

	// IgnoresCase says that names are one to the server that differ in case alone.
	IgnoresCase bool

	// Over is told when the test with a prefix is over and has closed its registries; nil: nobody is.
	Over func(prefix string)

	// Malform writes records that are none among those of a service.
	Malform func(t testing.TB, prefix, service string)

	// Kill ends the server at once, Restart starts it again with its data.
	Kill, Restart func(testing.TB)

	// Wipe ends the server at once and starts it again with no data, as after a lost disk.
	Wipe func(testing.TB)

	// Pause keeps the server from running, Resume lets it.
	Pause, Resume func(testing.TB)

	// FarURL is URL by another way, which Cut interrupts and Mend restores.
	FarURL    func(prefix string) string
	Cut, Mend func(testing.TB)

	// Compact makes the server forget its history of changes, which watches may want.
	Compact func(testing.TB)

	// Revoke takes away the leases or sessions of all registrations below a prefix.
	Revoke func(t testing.TB, prefix string)

	// DeniedURL has credentials that the server does not accept.
	DeniedURL string

	// Several says that a URL may name several servers.
	Several bool

	// DeadURL names an address where nobody listens; DeadAddress is that host:port.
	DeadURL, DeadAddress string

	// Count and Watchers are how many instances and watches the mass test has: 1,000 and 200 when 0.
	Count, Watchers int
}

// atOnce is how many tests run side by side. Most of the time they wait, so processors do not bound them.
const atOnce = 8

// Run runs the whole suite. The tests that harm nobody run side by side, those that share the way that is cut one after
// another beside them, then those that do things to the server one by one.
func Run(t *testing.T, server Server) {
	before := goleak.IgnoreCurrent()
	if server.Count == 0 {
		server.Count, server.Watchers = 1000, 200
	}
	tests, cuts, storms := calm, cutting, stormy
	if server.ValuesAlone {
		tests, cuts, storms = ofValues(), nil, nil
	}
	t.Run("calm", func(t *testing.T) { sideBySide(t, server, tests, cuts) })
	inTurn(t, server, storms)
	noLeaks(t, before)
}

// sideBySide runs tests as their turn comes, and beside them those of a sequence, which is the longest way and so begins
// at once. It takes goroutines and no t.Parallel, which would run as many as there are processors.
func sideBySide(t *testing.T, server Server, tests map[string]func(*suite), sequence []namedTest) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { inTurn(t, server, sequence) })
	turns := make(chan struct{}, atOnce)
	for name, test := range tests {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			t.Run(name, func(t *testing.T) {
				s := newSuite(t, server)
				s.calm = true
				test(s)
			})
		})
	}
}

func inTurn(t *testing.T, server Server, tests []namedTest) {
	for _, one := range tests {
		t.Run(one.name, func(t *testing.T) { one.test(newSuite(t, server)) })
	}
}

type namedTest struct {
	name string
	test func(*suite)
}

// calm are the tests that leave the server alone.
var calm = map[string]func(*suite){
	"register and read":         registerAndRead,
	"update":                    update,
	"renewal":                   renewal,
	"default TTL":               defaultTTL,
	"end of the context":        endOfContext,
	"nobody there":              nobodyThere,
	"query":                     query,
	"watch":                     watchChanges,
	"watch with a query":        watchQuery,
	"slow reader":               slowReader,
	"closing the registry":      closing,
	"hostile names":             hostileNames,
	"invalid":                   invalidInput,
	"malformed neighbours":      malformedNeighbours,
	"same ID twice":             sameIDTwice,
	"leave":                     leave,
	"credentials":               sharedCredentials,
	"credentials in contention": contendedCredentials,
	"subscribe":                 subscribe,
	"values":                    values,
	"value with a TTL":          valueTTL,
	"swapped value":             swappedValue,
	"watch a value":             watchValue,
	"all values":                allValues,
	"many values":               manyValues,
	"election":                  election,
	"election lost":             electionLost,
	"locks":                     locks,
	"lock lost":                 lockLost,
	"unreachable":               unreachable,
	"unreachable first":         unreachableFirst,
	"read only":                 readOnly,
	"denied":                    denied,
	"stale reads":               staleReads,
}

// cutting are the tests that cut the way of FarURL, which harms only who came by it.
var cutting = []namedTest{
	{"partition of a registrant", partitionOfRegistrant},
	{"partition of a watcher", partitionOfWatcher},
	{"takeover in a partition", takeoverInPartition},
	{"lock in a partition", lockInPartition},
}

// stormy are the tests that do something to the server, or need it alone.
var stormy = []namedTest{
	{"lost lease", lostLease},
	{"kill and restart", killAndRestart},
	{"lost data", lostData},
	{"pause past the TTL", pausePastTTL},
	{"compaction under a watch", compactionUnderWatch},
	{"many instances and watchers", many},
	{"churn", churn},
}

// suite is one test with a prefix of its own.
type suite struct {
	*testing.T
	Server
	prefix string
	calm   bool // nothing happens to the server
	ctx    context.Context
	log    *slog.Logger
}

var prefixes atomic.Int64

func newSuite(t *testing.T, server Server) *suite {
	s := &suite{
		T:      t,
		Server: server,
		prefix: fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), prefixes.Add(1)),
		ctx:    t.Context(),
	}
	if server.Over != nil {
		t.Cleanup(func() { server.Over(s.prefix) }) // what is asked for first is called last
	}
	s.log = s.logger()
	return s
}

// logger keeps the log, to show it when the test fails, and to look for the secret.
func (s *suite) logger() *slog.Logger {
	log := &safebuffer.Buffer{}
	s.Cleanup(func() {
		if strings.Contains(log.String(), secret) {
			s.Error("the log holds a password")
		}
		if s.Failed() {
			s.Logf("log:\n%s", log)
		}
	})
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// need skips the test unless the server's description has what it needs.
func (s *suite) need(what string, has bool) {
	s.Helper()
	if !has {
		s.Skipf("this engine is not tested with: %s", what)
	}
}

// with is the URL of one server with an option, in place of the value that it may have.
func (s *suite) with(address, option, value string) string {
	s.Helper()
	parsed, err := url.Parse(address)
	s.noError(err)
	query := parsed.Query()
	query.Set(option, value)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// open opens the registry until the end of the test.
func (s *suite) open() discovery.Registry {
	s.Helper()
	registry := s.openURL(s.patient(s.URL(s.prefix)))
	if s.Feed == nil {
		return registry
	}
	engine, url := s.Feed(s.prefix)
	return fed{registry, s.openBy(engine, s.patient(url))}
}

// patient gives the calls of a calm test the time that a busy machine may take.
func (s *suite) patient(url string) string {
	if !s.calm {
		return url
	}
	return s.with(url, "timeout", "1m")
}

func (s *suite) openURL(url string) discovery.Registry { return s.openBy(s.Engine, url) }

func (s *suite) openBy(engine discovery.Engine, url string) discovery.Registry {
	s.Helper()
	registry, err := discovery.NewEngines(engine).Open(s.ctx, url, discovery.WithLog(s.log))
	s.noError(err)
	s.Cleanup(func() { s.noError(registry.Close()) })
	return registry
}

// ttl is the TTL of registrations that should live on a busy machine.
func (s *suite) ttl() time.Duration { return max(3*time.Second, s.MinTTL) }

// keptTTL is for what may not be lost: a renewal, due after a third, may be late on a busy machine.
func (s *suite) keptTTL() time.Duration { return max(6*time.Second, s.MinTTL) }

// instance makes one; the number is its port.
func (s *suite) instance(service, id string, number int) discovery.Instance {
	return discovery.Instance{
		ID:      id,
		Service: service,
		Host:    "10.0.0.5",
		Ports:   map[string]discovery.Port{"http": {Number: number, Protocol: "tcp"}},
	}
}

// register announces an instance and waits until it is announced. It is closed at the end of the test.
func (s *suite) register(registry discovery.Registry, in discovery.Instance, options ...discovery.RegisterOption) discovery.Registration {
	s.Helper()
	return s.registerFor(registry, in, s.ttl(), options...)
}

func (s *suite) registerFor(registry discovery.Registry, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) discovery.Registration {
	s.Helper()
	registration, err := registry.Register(context.WithoutCancel(s.ctx), in, ttl, options...)
	s.noError(err)
	s.Cleanup(func() { registration.Close() })
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	s.noError(registration.WaitReady(ctx))
	return registration
}

// steady is register for what is not about leases: the machine may be so busy that a short one runs out.
func (s *suite) steady(registry discovery.Registry, in discovery.Instance) discovery.Registration {
	s.Helper()
	return s.registerFor(registry, in, time.Minute)
}

// close withdraws what has a lease. A busy machine may need more time than a withdrawal has: then its TTL ends it.
func (s *suite) close(held io.Closer) (withdrawn bool) {
	s.Helper()
	err := held.Close()
	if errors.Is(err, discovery.ErrUnavailable) {
		return false
	}
	s.noError(err)
	return true
}

// read reads a service.
func (s *suite) read(registry discovery.Registry, service string, q discovery.Query) discovery.Snapshot {
	s.Helper()
	snapshot, err := registry.Instances(s.ctx, service, q)
	s.noError(err)
	return snapshot
}

// noError fails the test with an error, which must not hold the secret.
func (s *suite) noError(err error) {
	s.Helper()
	if err != nil {
		require.NotContains(s, err.Error(), secret)
	}
	require.NoError(s, err)
}

// isError fails the test unless err is of that kind, and an Error that says what could not be done.
func (s *suite) isError(err, kind error) {
	s.Helper()
	require.ErrorIs(s, err, kind)
	require.NotContains(s, err.Error(), secret)
	var full *discovery.Error
	require.ErrorAs(s, err, &full)
	require.NotEmpty(s, full.Op)
}

// eventually waits until check gives no error. It asks less often the longer that takes: a check may be a call, and all
// share the processors.
func (s *suite) eventually(check func() error) {
	s.Helper()
	rest := 5 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(rest) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("still after %s: %v", patience, err)
		}
		rest = min(rest+rest/4, 250*time.Millisecond)
	}
}

// closed waits until a channel is closed.
func closed[T any](s *suite, what string, ch <-chan T) {
	s.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-deadline:
			s.Fatalf("%s is not closed after %s", what, patience)
		}
	}
}

// receive waits for the next of a channel.
func receive[T any](s *suite, what string, ch <-chan T) T {
	s.Helper()
	select {
	case v, ok := <-ch:
		require.True(s, ok, "%s ended", what)
		return v
	case <-time.After(patience):
		s.Fatalf("no %s after %s", what, patience)
		panic("unreachable")
	}
}

// noLeaks waits until no goroutine is left that was not there before.
func noLeaks(t *testing.T, before goleak.Option) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = goleak.Find(before); err == nil {
			return
		}
	}
	t.Error(err)
}

func ids(snapshot discovery.Snapshot) []string {
	all := []string{}
	for _, in := range snapshot.Instances {
		all = append(all, in.ID)
	}
	return all
}

// number is what instance gave.
func number(in discovery.Instance) int {
	for _, port := range in.Ports {
		return port.Number
	}
	return 0
}
