// Package files is a small engine, whole: files:///DIRECTORY/PREFIX keeps a registry in a directory that the
// processes of one machine share. It is the example of docs/engines.md, and passes the suite that every engine
// passes.
//
// A key is a file, in the place that the native layout gives; its last line is its owner's. Package driver makes
// instances, values, shared credentials and elections of them. A file's modification time is when it is gone: who keeps
// it moves that moment on, and whoever finds it passed removes the file. All that is done is done under a lock on the
// directory, and a change counts the revision up, which is what watches look at. DIRECTORY must exist, PREFIX is made.
package files

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	Check:    driver.Check(func(config discovery.Config) (*driver.Registry, error) { return open(config).registry, nil }),
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return open(config).registry, nil
	},
}

func validate(config discovery.Config) error {
	if len(config.Hosts) > 0 || config.Prefix == "" {
		return discovery.Invalidf("it is files:///DIRECTORY/PREFIX, with three slashes")
	}
	return nil
}

const (
	lookEvery    = 50 * time.Millisecond // how often a watch looks
	lockEvery    = time.Millisecond      // how often a lock that another process has is tried
	maxName      = 255                   // bytes of a file's name
	lockFile     = ".lock"
	revisionFile = ".revision"
	newFile      = ".new" // what is being written; names of the layout begin with no dot
)

var seed = maphash.MakeSeed()

// forever is the modification time of what has no TTL.
var forever = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// backend is one opening of a directory: the single steps that package driver takes.
type backend struct {
	driver.Exclusive
	config   discovery.Config
	registry *driver.Registry
	layout   layout.Layout
	path     string        // of the prefix
	gate     chan struct{} // the lock among the goroutines of this registry, in the order of their coming
}

func open(config discovery.Config) *backend {
	keys := layout.Native(path.Base(config.Prefix))
	b := &backend{config: config, layout: keys, path: "/" + config.Prefix, gate: make(chan struct{}, 1)}
	b.Exclusive = func(ctx context.Context, f func(driver.Space) error) error {
		_, err := locked(ctx, b, func(d *directory) (any, error) { return nil, f(d) })
		return err
	}
	b.registry = driver.Open(config, keys, b, 0)
	return b
}

func (b *backend) Close() error      { return nil }
func (b *backend) Hint(error) string { return "" }
func (b *backend) Report() string    { return b.path }

// KindOf is that of driver.Client.
func (b *backend) KindOf(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return discovery.ErrDenied
	case errors.As(err, new(syscall.Errno)):
		return discovery.ErrUnavailable
	}
	return nil
}

// locked calls f with the lock, which the kernel takes back from who dies.
func locked[T any](ctx context.Context, b *backend, f func(*directory) (T, error)) (T, error) {
	return driver.Call(ctx, b.config.Timeout, b, func(ctx context.Context) (none T, err error) {
		select {
		case b.gate <- struct{}{}:
			defer func() { <-b.gate }()
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if err := os.Mkdir(b.path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return none, err
		}
		lock, err := os.OpenFile(filepath.Join(b.path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return none, err
		}
		defer lock.Close() // unlocks
		for err = tryLock(lock); errors.Is(err, syscall.EWOULDBLOCK); err = tryLock(lock) {
			select {
			case <-time.After(lockEvery):
			case <-ctx.Done():
				return none, ctx.Err()
			}
		}
		d := &directory{path: b.path, expires: forever}
		if err == nil {
			d.revision, err = b.revision()
		}
		if err != nil {
			return none, err
		}
		return f(d)
	})
}

func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// revision counts the changes. It is read without the lock, too.
func (b *backend) revision() (int64, error) {
	text, err := os.ReadFile(filepath.Join(b.path, revisionFile))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(b.path)
		return 0, err
	}
	revision, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return revision, err
}

// directory is where the keys are files, for who has the lock.
type directory struct {
	path     string
	revision int64
	expires  time.Time // the first of what list and read have met
}

// file is the path of a key, which begins with the prefix.
func (d *directory) file(key string) string {
	return filepath.Join(filepath.Dir(d.path), filepath.FromSlash(key))
}

// Write is that of driver.Space, and so are Read, Extend, Remove and Changes.
func (d *directory) Write(key string, value []byte, owner string, ttl time.Duration) error {
	err := validKey(key)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(d.file(key)), 0o700)
	}
	if err == nil {
		err = d.write(d.file(key), slices.Concat(value, []byte("\n"+owner)), end(ttl))
	}
	if err != nil {
		return err
	}
	return d.count()
}

// end is when what is written now is gone.
func end(ttl time.Duration) time.Time {
	if ttl == 0 {
		return forever
	}
	return time.Now().Add(ttl)
}

func (d *directory) Extend(key string, ttl time.Duration) error {
	return os.Chtimes(d.file(key), end(ttl), end(ttl))
}

// validKey refuses what no file can be called.
func validKey(key string) error {
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName {
			return discovery.Invalidf("a name has %d bytes, escaped; a file's has %d at most", len(name), maxName)
		}
	}
	return nil
}

// count notes a change.
func (d *directory) count() error {
	d.revision++
	return d.write(filepath.Join(d.path, revisionFile), strconv.AppendInt(nil, d.revision, 10), forever)
}

// write replaces a file at once: whoever is killed here leaves the old one.
func (d *directory) write(path string, data []byte, expires time.Time) error {
	unfinished := filepath.Join(d.path, newFile)
	err := os.WriteFile(unfinished, data, 0o600)
	if err == nil {
		err = os.Chtimes(unfinished, expires, expires)
	}
	if err == nil {
		err = os.Rename(unfinished, path)
	}
	return err
}

func (d *directory) Changes() int64 { return d.revision }

func (d *directory) Remove(key string) error {
	if err := os.Remove(d.file(key)); err != nil {
		return err
	}
	return d.count()
}

// Read gives a file, and removes one whose time is over. Its version is what it holds.
func (d *directory) Read(key string) (driver.Item, string, error) {
	none := driver.Item{Key: key, Gone: true}
	info, err := os.Stat(d.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return none, "", nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return none, "", errors.Join(err, validKey(key))
	}
	if !time.Now().Before(info.ModTime()) {
		return none, "", d.Remove(key)
	}
	if info.ModTime().Before(d.expires) {
		d.expires = info.ModTime()
	}
	data, err := os.ReadFile(d.file(key))
	value, owner := data, ""
	if last := bytes.LastIndexByte(data, '\n'); last >= 0 {
		value, owner = data[:last], string(data[last+1:])
	}
	return driver.Item{Key: key, Value: value, Version: driver.Version{int64(maphash.Bytes(seed, data))}}, owner, err
}

// list gives a key, or all files below one that ends with a slash.
func (d *directory) list(key string) (c driver.Changes, err error) {
	if !strings.HasSuffix(key, "/") {
		item, _, err := d.Read(key)
		c.Items = []driver.Item{item}
		return c, err
	}
	entries, err := os.ReadDir(d.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return driver.Changes{Never: true}, nil
	}
	for _, entry := range entries {
		below := key + entry.Name()
		if entry.IsDir() {
			below += "/"
		}
		more, err := d.list(below)
		if err != nil {
			return c, err
		}
		for _, item := range more.Items {
			if !item.Gone {
				c.Items = append(c.Items, item)
			}
		}
	}
	return c, errors.Join(err, validKey(key))
}

func (d *directory) whole(key string) (driver.Changes, error) {
	c, err := d.list(key)
	c.Whole, c.Revision = true, strconv.FormatInt(d.revision, 10)
	return c, err
}

// List is that of driver.Store, as Keys and Follow are; Exclusive has the others.
func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	return locked(ctx, b, func(d *directory) (driver.Changes, error) { return d.whole(prefix) })
}

func (b *backend) Keys(ctx context.Context, prefix string) ([]string, error) {
	all, err := b.List(ctx, prefix)
	var keys []string
	for _, item := range all.Items {
		keys = append(keys, item.Key)
	}
	return keys, err
}

// MayWrite takes the directory's lock, which is a file in it.
func (b *backend) MayWrite(ctx context.Context, _ string) error {
	_, err := locked(ctx, b, func(*directory) (struct{}, error) { return struct{}{}, nil })
	return err
}

func (b *backend) Follow(key string) driver.Source { return &source{backend: b, key: key} }

// source reads a place again when anything has changed, or the time of what it found is over.
type source struct {
	*backend
	key      string
	revision int64
	expires  time.Time
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	return locked(ctx, s.backend, func(d *directory) (driver.Changes, error) {
		c, err := d.whole(s.key)
		s.revision, s.expires = d.revision, d.expires
		return c, err
	})
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return driver.Changes{}, ctx.Err()
		case now := <-ticker.C:
			revision, err := s.backend.revision()
			switch {
			case err != nil:
				return driver.Changes{}, driver.Explain(s.backend, err, 0)
			case revision != s.revision, now.After(s.expires):
				return s.Read(ctx)
			}
		}
	}
}

func (s *source) Close() {}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return b.Exclusive.NewLock(b.registry.Hub, key, ttl)
}

// Fit refuses an instance whose file could not be called so.
func (b *backend) Fit(in discovery.Instance) (discovery.Instance, error) {
	in, err := b.layout.Identify(in)
	if err != nil {
		return in, err
	}
	records, err := b.layout.Encode(in)
	if err != nil {
		return in, err
	}
	return in, validKey(records[0].Key)
}
