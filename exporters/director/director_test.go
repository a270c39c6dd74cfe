package director_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/dns"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/discovery/memory"
	"github.com/envharness/envharness/exporters/director"
	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// patience bounds what a busy machine may take.
const patience = time.Minute

// onEachEngine runs a test on every engine, each with a server of its own. The engine in memory is the first, in
// virtual time: a director that is broken there fails at once, and no server is started for it.
func onEachEngine(t *testing.T, test func(t *testing.T, registry discovery.Registry)) {
	works := t.Run(memory.Engine.Scheme, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, open(t, "memory://"+strings.ReplaceAll(t.Name(), "/", "-"))) })
	})
	if !works {
		return
	}
	for _, engine := range engines.All {
		if engine.Scheme == memory.Engine.Scheme || engine.Scheme == dns.Engine.Scheme { // which is read only
			continue
		}
		t.Run(engine.Scheme, func(t *testing.T) {
			t.Parallel()
			start := testservers.Registries[engine.Scheme]
			require.NotNil(t, start, "testservers.Registries needs a line for this engine")
			test(t, open(t, start(t)))
		})
	}
}

func open(t *testing.T, url string) discovery.Registry {
	t.Helper()
	registry, err := engines.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	return registry
}

// direct runs a director until the returned function is called, or the test ends.
func direct(t *testing.T, registry discovery.Registry, d director.Director) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, registry) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

// ids makes the IDs of the instances that pass the value.
func ids(_ context.Context, s discovery.Snapshot) ([]byte, error) {
	var all []string
	for _, in := range s.Instances {
		all = append(all, in.ID)
	}
	return []byte(strings.Join(all, ",")), nil
}

func register(t *testing.T, registry discovery.Registry, in discovery.Instance) discovery.Registration {
	t.Helper()
	in.Service, in.Host, in.Ports = "db", "10.0.0.5", map[string]discovery.Port{"postgresql": {Number: 5432}}
	registration, err := registry.Register(context.WithoutCancel(t.Context()), in, 0)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	return registration
}

// becomes waits for a value; "" is none.
func becomes(t *testing.T, registry discovery.Registry, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return value(t, registry) == want }, patience, 10*time.Millisecond, "want %q", want)
}

func value(t *testing.T, registry discovery.Registry) string {
	data, err := registry.(discovery.Values).Get(t.Context(), "DATABASE_URL")
	if errors.Is(err, discovery.ErrNotFound) {
		return ""
	}
	require.NoError(t, err)
	return string(data)
}

func TestTheValueFollowsTheService(t *testing.T) {
	onEachEngine(t, func(t *testing.T, registry discovery.Registry) {
		stop := direct(t, registry, director.Director{Service: "db", Value: "DATABASE_URL", Direct: ids})
		a := register(t, registry, discovery.Instance{ID: "a"})
		becomes(t, registry, "a")
		b := register(t, registry, discovery.Instance{ID: "b"})
		becomes(t, registry, "a,b")
		require.NoError(t, a.Close())
		becomes(t, registry, "b")
		stop()
		require.Equal(t, "b", value(t, registry), "the value outlives the director")

		direct(t, registry, director.Director{Service: "db", Value: "DATABASE_URL", Direct: ids})
		require.NoError(t, b.Close())
		becomes(t, registry, "") // an empty value is none
	})
}

func TestOneDirects(t *testing.T) {
	onEachEngine(t, func(t *testing.T, registry discovery.Registry) {
		asked := make(chan int, 10)
		stops := make([]func(), 3)
		for i := range stops {
			stops[i] = direct(t, registry, director.Director{
				Service: "db", Value: "DATABASE_URL", TTL: 10 * time.Minute,
				Direct: func(context.Context, discovery.Snapshot) ([]byte, error) {
					asked <- i
					return fmt.Append(nil, i), nil
				},
			})
		}
		seen := map[int]bool{}
		for range stops {
			i := receive(t, asked)
			becomes(t, registry, fmt.Sprint(i))
			require.Empty(t, asked, "the others stand by")
			seen[i] = true
			stops[i]() // it releases the lead, else the next one would wait for the TTL
		}
		require.Len(t, seen, len(stops))
	})
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing after %s", patience)
		panic("unreachable")
	}
}

// TestAFailureKeepsTheValue: an error, and what is no value, leaves the old one, and it is tried again.
func TestAFailureKeepsTheValue(t *testing.T) {
	onEachEngine(t, func(t *testing.T, registry discovery.Registry) {
		answers := map[string]func() ([]byte, error){
			"":    func() ([]byte, error) { return []byte("at first"), nil },
			"a":   func() ([]byte, error) { return nil, errors.New("no idea") },
			"a,b": func() ([]byte, error) { return []byte("canary\x00"), nil },
			"b":   func() ([]byte, error) { return bytes.Repeat([]byte("canary"), discovery.MaxValue), nil },
		}
		failures := make(chan string, 1000)
		log := &safebuffer.Buffer{}
		direct(t, registry, director.Director{
			Service: "db", Value: "DATABASE_URL",
			Direct: func(ctx context.Context, s discovery.Snapshot) ([]byte, error) {
				key, _ := ids(ctx, s)
				value, err := answers[string(key)]()
				if string(key) != "" {
					failures <- string(key)
				}
				return value, err
			},
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		becomes(t, registry, "at first")
		failsTwice := func(key string) {
			for n := 0; n < 2; {
				if receive(t, failures) == key {
					n++
				}
			}
			require.Equal(t, "at first", value(t, registry))
		}
		a := register(t, registry, discovery.Instance{ID: "a"})
		failsTwice("a")
		b := register(t, registry, discovery.Instance{ID: "b"})
		failsTwice("a,b")
		require.NoError(t, a.Close())
		failsTwice("b")
		require.NoError(t, registry.(discovery.Values).Delete(t.Context(), "DATABASE_URL"))
		require.NoError(t, b.Close())
		becomes(t, registry, "at first")
		require.Contains(t, log.String(), "trying again")
		require.NotContains(t, log.String(), "canary")
	})
}

// TestChangesCoalesce: a thousand changes while the value is made are one more value.
func TestChangesCoalesce(t *testing.T) {
	const changes = 1000
	onEachEngine(t, func(t *testing.T, registry discovery.Registry) {
		in := discovery.Instance{ID: "a", Host: "10.0.0.5", Service: "db", Ports: map[string]discovery.Port{"postgresql": {Number: 1}}}
		registration := register(t, registry, in)
		t.Cleanup(func() { require.NoError(t, registration.Close()) })

		begun, proceed := make(chan bool, changes), make(chan bool)
		direct(t, registry, director.Director{
			Service: "db", Value: "DATABASE_URL",
			Direct: func(_ context.Context, s discovery.Snapshot) ([]byte, error) {
				begun <- true
				<-proceed
				return fmt.Append(nil, s.Instances[0].Ports["postgresql"].Number), nil
			},
		})
		receive(t, begun)
		for i := 1; i <= changes; i++ {
			in.Ports["postgresql"] = discovery.Port{Number: i}
			require.NoError(t, registration.Update(t.Context(), in))
		}
		close(proceed)
		becomes(t, registry, fmt.Sprint(changes))
		require.Less(t, len(begun), changes/10)
	})
}

func TestCredentialsReachTheProgram(t *testing.T) {
	onEachEngine(t, func(t *testing.T, registry discovery.Registry) {
		registration := register(t, registry, discovery.Instance{ID: "a", User: "app", Password: "pass word"})
		program := director.Program{Words: []string{"sed", "-E", `s/.*"user":"([^"]*)","password":"([^"]*)".*/\1:\2/`}, Stderr: os.Stderr}
		stop := direct(t, registry, director.Director{Service: "db", Value: "DATABASE_URL", Direct: program.Direct})
		becomes(t, registry, "app:pass word")
		stop()
		require.NoError(t, registration.Close())
	})
}

func TestWhatCannotBeDirected(t *testing.T) {
	registry := open(t, "memory://invalid")
	never := func(context.Context, discovery.Snapshot) ([]byte, error) { panic("asked") }
	err := director.Director{Service: "db", Value: "no-name", Direct: never}.Run(t.Context(), registry)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	err = director.Director{Service: "", Value: "NAME", Direct: never}.Run(t.Context(), registry)
	require.ErrorIs(t, err, discovery.ErrInvalid)
	type withoutElections struct{ discovery.Registry }
	err = director.Director{Service: "db", Value: "NAME", Direct: never}.Run(t.Context(), withoutElections{registry})
	require.ErrorIs(t, err, discovery.ErrUnsupported)
	away := open(t, "etcd://"+testservers.FreeAddress(t)+"?timeout=1s")
	err = director.Director{Service: "db", Value: "NAME", Direct: never}.Run(t.Context(), away)
	require.ErrorIs(t, err, discovery.ErrUnavailable)
}
