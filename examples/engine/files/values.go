package files

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	source, err := r.value("read value", name)
	if err != nil {
		return nil, err
	}
	v, err := source.Read(ctx)
	if err == nil && !v.Found {
		err = r.fail(source.op, name, discovery.ErrNotFound)
	}
	return v.Data, err
}

func (r *registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	source, err := r.value("watch value", name)
	if err != nil {
		return nil, err
	}
	return driver.WatchValues(ctx, r.group, source, name, r.config.Log)
}

func (r *registry) value(op, name string) (*source[discovery.Value], error) {
	key, err := r.layout.ValueKey(name)
	if err == nil {
		err = validKey(key)
	}
	return &source[discovery.Value]{
		registry: r,
		op:       op,
		name:     name,
		same:     func(a, b discovery.Value) bool { return a.Found == b.Found && bytes.Equal(a.Data, b.Data) },
		read: func(d *directory) (discovery.Value, error) {
			f, err := d.read(key)
			if f == nil {
				return discovery.Value{}, err
			}
			return discovery.Value{Data: f.data, Found: true}, err
		},
	}, r.fail(op, name, err)
}

func (r *registry) Put(ctx context.Context, name string, value []byte, ttl time.Duration) error {
	const op = "write value"
	key, err := r.layout.ValueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil {
		err = validKey(key)
	}
	if err == nil {
		_, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return r.fail(op, name, err)
	}
	return r.do(ctx, op, name, func(d *directory) error {
		expires := forever
		if ttl > 0 {
			expires = time.Now().Add(ttl)
		}
		return d.put(key, value, expires)
	})
}

func (r *registry) Delete(ctx context.Context, name string) error {
	const op = "delete value"
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return r.fail(op, name, err)
	}
	return r.do(ctx, op, name, func(d *directory) error {
		f, err := d.read(key)
		switch {
		case err != nil:
			return err
		case f == nil:
			return discovery.ErrNotFound
		}
		return d.remove(key)
	})
}

func (r *registry) List(ctx context.Context) (names []string, err error) {
	names = []string{}
	err = r.do(ctx, "list values", "", func(d *directory) error {
		files, err := d.list(r.layout.ValuesPrefix())
		for _, f := range files {
			if name, err := r.layout.ValueName(f.key); err == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return err
	})
	return names, err
}
