// Package files is a small engine, whole: files:///DIRECTORY/PREFIX keeps a registry in a directory that the
// processes of one machine share. It is the example of docs/engines.md, and passes the suite that every engine
// passes.
//
// An instance, a value, shared credentials and a leader are a file each, in the place that the native layout
// gives. A file's modification time is when it is gone: who keeps it moves that moment on, and whoever finds it
// passed removes the file. All that is done is done under a lock on the directory, and a change counts the
// revision up, which is what watches look at. DIRECTORY must exist, PREFIX is made.
//
// The files:
//
//	files.go      Engine and Registry       (one line in the list of engines makes it known)
//	folder.go     the files and the lock
//	lease.go      discovery/driver's Lease, and shared credentials
//	source.go     discovery/driver's Source
//	values.go     discovery.Values
//	election.go   discovery.Elector
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// Engine is files://.
var Engine = discovery.Engine{
	Scheme: "files",
	Help:   "files:///DIRECTORY/PREFIX: a directory that the processes of one machine share. An example.",
	Promises: discovery.Promises{
		Death:     "Gone when its TTL runs out, seen within 50 ms.",
		Partition: "When DIRECTORY is away nothing is read or written; watches keep the last snapshot, marked stale.",
		Director:  "One at a time, each write fenced: who leads is looked up under the lock that it is written under.",
		Limits: "One machine, some hundred instances: each watch looks every 50 ms, and reads all files of the " +
			"service at a change. A name has at most 255 bytes, escaped. Who is stopped in the middle of a call stops all.",
	},
	Layouts:  []string{"native"},
	Validate: validate,
	Check: func(ctx context.Context, config discovery.Config) error {
		_, err := newRegistry(config).Services(ctx)
		return err
	},
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return newRegistry(config), nil
	},
}

func validate(config discovery.Config) error {
	if len(config.Hosts) > 0 || config.Prefix == "" {
		return invalid("it is files:///DIRECTORY/PREFIX, with three slashes")
	}
	return nil
}

// registry is one opening of a directory. It implements discovery.Values and discovery.Elector too.
type registry struct {
	directory directory
	layout    layout.Layout
	config    discovery.Config
	group     *driver.Group
}

func newRegistry(config discovery.Config) *registry {
	return &registry{
		directory: newDirectory("/" + config.Prefix),
		layout:    layout.Native(path.Base(config.Prefix)),
		config:    config,
		group:     driver.NewGroup(),
	}
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	var key string
	what, err := driver.Accept(r.config, in, ttl, func(in discovery.Instance) (discovery.Instance, error) {
		in, err := r.layout.Identify(in)
		if err != nil {
			return in, err
		}
		records, err := r.layout.Encode(in)
		if err != nil {
			return in, err
		}
		key = records[0].Key
		return in, validKey(key)
	})
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return driver.Register(ctx, r.group, newLease(r, key, what.TTL), what), nil
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
	prefix, err := r.layout.ServicePrefix(service)
	if err == nil {
		err = validKey(prefix)
	}
	if err != nil {
		return nil, r.fail("read service", service, err)
	}
	return &source[discovery.Snapshot]{
		registry: r,
		op:       "read service",
		name:     service,
		same:     driver.SameInstances,
		read: func(d *directory) (discovery.Snapshot, error) {
			files, err := d.list(prefix)
			all := layout.Decode(r.layout, r.config.Log, recordsOf(files))
			snapshot := discovery.NewSnapshot(service, fmt.Sprint(d.revision), q, all)
			snapshot.Never = files == nil
			return snapshot, err
		},
	}, nil
}

func (r *registry) Services(ctx context.Context) (names []string, err error) {
	err = r.do(ctx, "list services", "", func(d *directory) error {
		files, err := d.list(r.layout.ServicesPrefix())
		names = layout.Services(r.layout, r.config.Log, recordsOf(files))
		return err
	})
	return names, err
}

func (r *registry) Close() error {
	r.group.Close()
	return nil
}

// do does something under the lock. It ends at its context or after the URL's timeout.
func (r *registry) do(ctx context.Context, op, name string, f func(*directory) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	return r.fail(op, name, r.directory.locked(ctx, f))
}

// fail says what could not be done, and of which kind that is; nil stays nil.
func (r *registry) fail(op, name string, err error) error {
	var full *discovery.Error
	switch {
	case err == nil || errors.As(err, &full):
		return err
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		err = discovery.Mark(discovery.ErrDenied, err)
	case errors.As(err, new(syscall.Errno)), errors.Is(err, context.DeadlineExceeded):
		err = discovery.Mark(discovery.ErrUnavailable, err)
	}
	return &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
}

func invalid(format string, args ...any) error {
	return discovery.Mark(discovery.ErrInvalid, fmt.Errorf(format, args...))
}
