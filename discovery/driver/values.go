package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// Get is that of discovery.Values.
func (r *Registry) Get(ctx context.Context, name string) ([]byte, error) {
	const op = "read value"
	key, err := r.Layout.ValueKey(name)
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	item, err := r.backend.Get(ctx, key, false)
	if err == nil && item.Gone {
		err = discovery.ErrNotFound
	}
	return item.Value, r.Fail(op, name, err)
}

// Put is that of discovery.Values.
func (r *Registry) Put(ctx context.Context, name string, value []byte, ttl time.Duration) error {
	key, err := r.Layout.ValueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil && ttl < 0 {
		_, err = discovery.ValidTTL(ttl)
	}
	if err == nil {
		err = r.backend.Put(ctx, key, value, ttl)
	}
	return r.Fail("write value", name, err)
}

// SwapValue is that of discovery.Swapper.
func (r *Registry) SwapValue(ctx context.Context, name string, old, value []byte) error {
	key, err := r.Layout.ValueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil {
		err = r.swapValue(ctx, key, old, value)
	}
	return r.Fail("write value", name, err)
}

func (r *Registry) swapValue(ctx context.Context, key string, old, value []byte) error {
	was, err := r.backend.Get(ctx, key, true)
	switch {
	case err != nil:
		return err
	case old == nil && !was.Gone:
		return discovery.Mark(discovery.ErrConflict, errors.New("there is one already"))
	case old != nil && was.Gone:
		return discovery.Mark(discovery.ErrConflict, errors.New("there is none any more"))
	case old != nil && !bytes.Equal(was.Value, old):
		return discovery.Mark(discovery.ErrConflict, errors.New("it has changed"))
	}
	swapped, err := r.backend.Swap(ctx, was, value)
	if err == nil && !swapped {
		err = discovery.Mark(discovery.ErrConflict, errors.New("it has changed at this moment"))
	}
	return err
}

// Delete is that of discovery.Values.
func (r *Registry) Delete(ctx context.Context, name string) error {
	key, err := r.Layout.ValueKey(name)
	found := true
	if err == nil {
		found, err = r.backend.Delete(ctx, key)
	}
	if err == nil && !found {
		err = discovery.ErrNotFound
	}
	return r.Fail("delete value", name, err)
}

// List is that of discovery.Values.
func (r *Registry) List(ctx context.Context) ([]string, error) {
	keys, err := r.keys(ctx, r.Layout.ValuesPrefix())
	if err != nil {
		return nil, r.Fail("list values", "", err)
	}
	names := []string{}
	skip := skipper{log: r.Config.Log}
	for _, key := range keys {
		name, err := r.Layout.ValueName(key)
		if err != nil {
			skip.add(key, err)
			continue
		}
		names = append(names, name)
	}
	skip.warn()
	slices.Sort(names)
	return names, nil
}

func (r *Registry) keys(ctx context.Context, prefix string) ([]string, error) {
	if lister, can := r.backend.(KeyLister); can {
		return lister.Keys(ctx, prefix)
	}
	all, err := r.backend.List(ctx, prefix)
	var keys []string
	for _, item := range all.Items {
		keys = append(keys, item.Key)
	}
	return keys, err
}

// GetAll is that of discovery.AllValues.
func (r *Registry) GetAll(ctx context.Context) (map[string][]byte, error) {
	all, err := r.backend.List(ctx, r.Layout.ValuesPrefix())
	if err != nil {
		return nil, r.Fail("read values", "", err)
	}
	skip := skipper{log: r.Config.Log}
	defer skip.warn()
	return r.valuesOf(all.Items, &skip), nil
}

// WatchAll is that of discovery.AllValues.
func (r *Registry) WatchAll(ctx context.Context) (<-chan discovery.ValueSet, error) {
	p := r.Hub.join(r.Layout.ValuesPrefix(), discovery.Query{All: true})
	skip := skipper{log: r.Config.Log}
	return watch(ctx, r.Hub, &watcher[discovery.ValueSet]{
		op:     "watch values",
		places: []*place{p},
		see: func() discovery.ValueSet {
			defer skip.warn()
			return discovery.ValueSet{Values: r.valuesOf(p.all(), &skip)}
		},
		stale: func(s discovery.ValueSet) discovery.ValueSet {
			s.Stale = true
			return s
		},
	})
}

// valuesOf gives the values among items, by their names, be it that no variable can have one.
func (r *Registry) valuesOf(items []Item, skip *skipper) map[string][]byte {
	values := make(map[string][]byte, len(items))
	for _, item := range items {
		name, err := r.Layout.ValueName(item.Key)
		switch {
		case item.Gone:
		case name == "":
			skip.add(item.Key, err)
		default:
			values[name] = item.Value
		}
	}
	return values
}

// skipper tells of keys among the values that are none.
type skipper struct {
	log    *slog.Logger
	told   map[string]bool // so that a watch does not repeat itself
	deeper []string        // since the last warn
}

func (s *skipper) add(key string, err error) {
	switch {
	case errors.Is(err, layout.ErrForeign) || s.told[key]:
		return
	case errors.Is(err, layout.ErrDeeper):
		s.deeper = append(s.deeper, key)
	default:
		s.log.Warn("skipping a key that is no value", "key", key, "error", err)
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[key] = true
}

// warn tells of all that stand deeper at once: a prefix that is one too short may have thousands.
func (s *skipper) warn() {
	if len(s.deeper) > 0 {
		s.log.Warn("skipping keys that stand deeper than this prefix's values", "count", len(s.deeper), "key", slices.Min(s.deeper))
	}
	s.deeper = nil
}

// WatchValue is that of discovery.Values.
func (r *Registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	const op = "watch value"
	key, err := r.Layout.ValueKey(name)
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	see := func(item Item) discovery.Value { return discovery.Value{Data: item.Value, Found: !item.Gone} }
	return WatchKey(ctx, r.Hub, op, name, key, see, func(v discovery.Value) discovery.Value {
		v.Stale = true
		return v
	})
}

// CredentialStore is where the instances of a service share their credentials.
type CredentialStore interface {
	// ShareCredentials writes c, by compare-and-swap, and gives what is now in force. With keep it
	// writes only if there are none; a zero c is never written.
	ShareCredentials(ctx context.Context, service string, c discovery.Credentials, keep bool) (discovery.Credentials, error)

	// WatchCredentials follows them as discovery.Registry.Watch does, but says nothing of an outage: the last known
	// stay in force. Zero is none.
	WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error)
}

// credentials are shared at one key for a service. It implements CredentialStore.
type credentials struct{ registry *Registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (discovery.Credentials, error) {
	inForce, err := c.share(ctx, service, own, keep)
	return inForce, c.registry.Fail("share credentials of", service, err)
}

func (c credentials) share(ctx context.Context, service string, own discovery.Credentials, keep bool) (discovery.Credentials, error) {
	r := c.registry
	key, err := r.Layout.CredentialsKey(service)
	if err != nil {
		return own, err
	}
	text, err := json.Marshal(own)
	if err != nil {
		return own, err
	}
	for {
		was, err := r.backend.Get(ctx, key, true)
		if err != nil {
			return own, err
		}
		inForce := c.decode(service, was)
		if own.IsZero() || keep && !inForce.IsZero() {
			return inForce, nil
		}
		if swapped, err := r.backend.Swap(ctx, was, text); swapped || err != nil {
			return own, err
		}
	}
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	const op = "read credentials of"
	key, err := c.registry.Layout.CredentialsKey(service)
	if err != nil {
		return nil, c.registry.Fail(op, service, err)
	}
	see := func(item Item) discovery.Credentials { return c.decode(service, item) }
	return WatchKey(ctx, c.registry.Hub, op, service, key, see, func(last discovery.Credentials) discovery.Credentials { return last })
}

// decode reads what is shared; nothing and nonsense are no credentials.
func (c credentials) decode(service string, item Item) discovery.Credentials {
	var shared discovery.Credentials
	if !item.Gone && json.Unmarshal(item.Value, &shared) != nil {
		c.registry.Config.Log.Warn("skipping malformed credentials", "service", service)
		return discovery.Credentials{}
	}
	return shared
}
