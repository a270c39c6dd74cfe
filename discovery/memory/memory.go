// Package memory is the engine memory://NAME: a registry within this process, for tests. Registries of the
// same name share what they hold, which lasts as long as the process; nothing is written anywhere.
//
// It is a whole engine and passes the suite of all engines: TTLs run out, watches follow, credentials are
// shared, a leader is alone.
package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// Engine is memory://NAME.
var Engine = discovery.Engine{
	Scheme: "memory",
	Help:   "memory://NAME: in this process, for tests.",
	Promises: discovery.Promises{
		Death:     "Gone when its TTL runs out.",
		Partition: "There is none.",
		Director:  "One at a time, each write fenced.",
		Limits:    "Nothing outlives the process, and no other sees it.",
	},
	Layouts:  []string{"native"},
	Validate: validate,
	Check:    func(context.Context, discovery.Config) error { return nil },
	Open:     open,
}

func validate(config discovery.Config) error {
	if len(config.Hosts) > 1 {
		return discovery.Mark(discovery.ErrInvalid, errors.New("memory has one NAME"))
	}
	return nil
}

// stores are the memories by name.
var stores = struct {
	lock   sync.Mutex
	byName map[string]*store
}{byName: map[string]*store{}}

// storeOf gives the store that a URL names.
func storeOf(config discovery.Config) *store {
	name := config.Prefix
	if len(config.Hosts) > 0 {
		name = config.Hosts[0] + "/" + name
	}
	stores.lock.Lock()
	defer stores.lock.Unlock()
	if stores.byName[name] == nil {
		stores.byName[name] = newStore()
	}
	return stores.byName[name]
}

func open(_ context.Context, config discovery.Config) (discovery.Registry, error) {
	return &registry{
		store:  storeOf(config),
		layout: layout.Native(""),
		config: config,
		group:  driver.NewGroup(),
	}, nil
}

// registry is one opening of a store.
type registry struct {
	store  *store
	layout layout.Layout // for the rules of names alone
	config discovery.Config
	group  *driver.Group
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := driver.Accept(r.config, in, ttl, layout.Fit(r.layout, r.config.Log))
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return driver.Register(ctx, r.group, &lease{registry: r, ttl: what.TTL, owner: new(owner)}, what), nil
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	source, err := r.snapshots(service, q)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	return source.Read(ctx)
}

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	source, err := r.snapshots(service, q)
	if err != nil {
		return nil, err
	}
	return driver.WatchSnapshots(ctx, r.group, source, service, r.config.Log)
}

func (r *registry) snapshots(service string, q discovery.Query) (*source[discovery.Snapshot], error) {
	if _, err := r.layout.ServicePrefix(service); err != nil {
		return nil, r.fail("read service", service, err)
	}
	return &source[discovery.Snapshot]{
		registry: r,
		op:       "read service",
		name:     service,
		topic:    topic{"service", service},
		read:     func() discovery.Snapshot { return r.store.snapshot(service, q) },
	}, nil
}

func (r *registry) Services(ctx context.Context) (names []string, err error) {
	err = r.store.do(ctx, func() error {
		names = r.store.serviceNames()
		return nil
	})
	return names, r.fail("list services", "", err)
}

func (r *registry) Close() error {
	r.group.Close()
	return nil
}

// fail says what could not be done; nil stays nil.
func (r *registry) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
}

// source follows a topic of the store.
type source[T any] struct {
	registry *registry
	op, name string
	topic    topic
	read     func() T // under the store's lock
	changed  <-chan struct{}
}

func (s *source[T]) Read(ctx context.Context) (state T, err error) {
	err = s.registry.store.do(ctx, func() error {
		s.changed = s.registry.store.subscribe(s.topic)
		state = s.read()
		return nil
	})
	return state, s.registry.fail(s.op, s.name, err)
}

func (s *source[T]) Next(ctx context.Context) (T, error) {
	select {
	case <-s.changed:
	case <-ctx.Done():
	}
	return s.Read(ctx)
}

func (s *source[T]) Close() {}
