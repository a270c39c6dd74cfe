package driver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// Registry is one opening of an engine. It implements discovery.Registry, discovery.Values and discovery.Elector.
type Registry struct {
	Config     discovery.Config
	Layout     layout.Layout
	DefaultTTL time.Duration // of a registration that asks for none
	*Hub

	backend Backend
	group   *Group
	failer
}

// Open makes a registry of a backend, which its Close closes. Pace is the least time between two snapshots of a watch;
// 0 is none.
func Open(config discovery.Config, keys layout.Layout, backend Backend, pace time.Duration) *Registry {
	r := &Registry{
		Config:     config,
		Layout:     keys,
		DefaultTTL: discovery.DefaultTTL,
		backend:    backend,
		group:      NewGroup(),
		failer:     failer{config.String(), backend.Hint},
	}
	r.Hub = &Hub{
		follow:   backend.Follow,
		decode:   r.decode,
		values:   keys.ValuesPrefix(),
		pace:     pace,
		patience: 2 * config.Timeout,
		group:    r.group,
		log:      config.Log,
		failer:   r.failer,
		byKey:    map[string]*sharedWatch{},
	}
	if pinger, can := backend.(Pinger); can {
		r.Hub.ping = pinger.Ping
	}
	return r
}

// ReadFiles reads the files that a URL names, of TLS and of the user, for the errors of which nobody is to wait until
// the first call.
func ReadFiles(config discovery.Config, defaultPort int) error {
	for _, address := range config.Addresses(defaultPort) {
		if _, err := config.TLSConfig(address); err != nil {
			return err
		}
	}
	_, err := config.Login()
	return err
}

// Opener makes the Open of a [discovery.Engine] from its open.
func Opener[R discovery.Registry](open func(discovery.Config) (R, error)) func(context.Context, discovery.Config) (discovery.Registry, error) {
	return func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		r, err := open(config)
		if err != nil {
			return nil, OpenFailed(config, err)
		}
		return r, nil
	}
}

// OpenFailed is the error of an engine's Open.
func OpenFailed(config discovery.Config, err error) error {
	return &discovery.Error{Op: "open registry", Engine: config.String(), Err: err}
}

// Fail makes err say what could not be done, unless it does, or is nil.
func (r *Registry) Fail(op, name string, err error) error { return r.failer.fail(op, name, err) }

// Go runs f until ctx ends, or the registry is closed, which waits for it.
func (r *Registry) Go(ctx context.Context, f func(context.Context)) { r.group.Go(ctx, f) }

// Register is that of discovery.Registry.
func (r *Registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := r.Accept(in, ttl)
	if err != nil {
		return nil, err
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return r.Retain(ctx, r.backend.NewLease(what.Instance, what.TTL), what), nil
}

// Accept checks what Register was given: the instance is normalized and has its ID, the TTL is one.
func (r *Registry) Accept(in discovery.Instance, ttl time.Duration) (Registering, error) {
	in, err := in.Normalize()
	if err == nil {
		in, err = r.fit(in)
	}
	if err == nil && ttl == 0 {
		ttl = r.DefaultTTL
	}
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	what := Registering{
		Instance: in,
		TTL:      ttl,
		Timeout:  r.Config.Timeout,
		Encode:   r.encode,
		Decode:   r.Layout.Decode,
		Log:      r.Config.Log,
		failer:   r.failer,
	}
	return what, r.Fail("register", in.Service, err)
}

// Retain keeps a lease until ctx ends, or it is closed, or the registry is.
func (r *Registry) Retain(ctx context.Context, lease Lease, what Registering) discovery.Registration {
	return Register(ctx, r.group, lease, what)
}

// SharedCredentials are where the instances of a service share credentials, in every layout that has no place of its
// own for that.
func (r *Registry) SharedCredentials() CredentialStore { return credentials{r} }

func (r *Registry) fit(in discovery.Instance) (discovery.Instance, error) {
	if fitter, can := r.backend.(Fitter); can {
		return fitter.Fit(in)
	}
	in, err := layout.Fit(r.Layout, r.Config.Log)(in)
	if _, can := r.backend.(RecordChecker); can && err == nil {
		_, _, _, err = r.encode(in)
	}
	return in, err
}

// encode gives an instance's record; ok is false while it is to have none.
func (r *Registry) encode(in discovery.Instance) (key string, value []byte, ok bool, err error) {
	if encoder, can := r.backend.(Encoder); can {
		return encoder.Encode(in)
	}
	records, err := r.Layout.Encode(in)
	if err != nil || len(records) == 0 {
		return "", nil, false, err
	}
	key, value = records[0].Key, records[0].Value
	if checker, can := r.backend.(RecordChecker); can {
		err = checker.CheckRecord(key, value)
	}
	return key, value, true, err
}

// decode reads an item into where its instance is to be.
func (r *Registry) decode(in *discovery.Instance, item Item) (ok bool) {
	if decoder, can := r.backend.(Decoder); can {
		*in, ok = decoder.Decode(item)
		return ok
	}
	return layout.DecodeInto(in, r.Layout, r.Config.Log, layout.Record{Key: item.Key, Value: item.Value})
}

// Instances is that of discovery.Registry.
func (r *Registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	const op = "read service"
	prefix, err := r.Layout.ServicePrefix(service)
	if err != nil {
		return discovery.Snapshot{}, r.Fail(op, service, err)
	}
	state, err := r.backend.List(ctx, prefix)
	if err != nil {
		return discovery.Snapshot{}, r.Fail(op, service, err)
	}
	chosen := r.instances(state.Items, q)
	sortInstances(chosen)
	return discovery.Snapshot{Service: service, Instances: chosen, Revision: state.Revision, Never: state.Never, Query: q}, nil
}

// sortInstances sorts by ID. Most stores list keys in that order, and an instance is too large to be moved for nothing.
func sortInstances(all []discovery.Instance) {
	for i := 1; i < len(all); i++ {
		if all[i].ID < all[i-1].ID {
			slices.SortStableFunc(all, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
			return
		}
	}
}

// instances decodes items, and skips those that are none, or not asked for.
func (r *Registry) instances(items []Item, q discovery.Query) []discovery.Instance {
	all, ok := make([]discovery.Instance, len(items)), make([]bool, len(items))
	each(len(items), func(i int) { ok[i] = r.decode(&all[i], items[i]) && q.Matches(all[i]) })
	kept := 0
	for i := range all {
		if !ok[i] {
			continue
		}
		if kept < i {
			all[kept] = all[i]
		}
		kept++
	}
	clear(all[kept:])
	return all[:kept]
}

// Services is that of discovery.Registry.
func (r *Registry) Services(ctx context.Context) ([]string, error) {
	names, err := r.services(ctx)
	if err != nil {
		return nil, r.Fail("list services", "", err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *Registry) services(ctx context.Context) ([]string, error) {
	if err := layout.ValuesAlone(r.Layout); err != nil {
		return nil, err
	}
	if lister, can := r.backend.(ServiceLister); can {
		return lister.ListServices(ctx)
	}
	state, err := r.backend.List(ctx, r.Layout.ServicesPrefix())
	names := []string{}
	for _, in := range r.instances(state.Items, discovery.Query{All: true}) {
		names = append(names, in.Service)
	}
	return names, err
}

// Watch is that of discovery.Registry.
func (r *Registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	return r.WatchBeside(ctx, service, q, "", nil)
}

// WatchBeside is Watch for a layout that has more of a service at another key: complete adds that to each snapshot.
func (r *Registry) WatchBeside(ctx context.Context, service string, q discovery.Query, key string, complete func(*discovery.Snapshot, Item)) (<-chan discovery.Snapshot, error) {
	prefix, err := r.Layout.ServicePrefix(service)
	if err != nil {
		return nil, r.Fail("watch service", service, err)
	}
	return r.Hub.snapshots(ctx, service, prefix, q, key, complete)
}

// Close is that of discovery.Registry.
func (r *Registry) Close() error {
	r.group.Close()
	return r.backend.Close()
}

// Check makes the Check of a [discovery.Engine] from its open: a registry is fit for use when it lists its
// values, which reads names alone.
func Check[R interface {
	discovery.Registry
	discovery.Values
}](open func(discovery.Config) (R, error)) func(context.Context, discovery.Config) error {
	return func(ctx context.Context, config discovery.Config) error {
		r, err := open(config)
		if err != nil {
			return OpenFailed(config, err)
		}
		defer r.Close()
		_, err = r.List(ctx)
		return err
	}
}
