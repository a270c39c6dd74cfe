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
	Check:    driver.Check(open),
	Open:     driver.Opener(open),
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

func open(config discovery.Config) (*driver.Registry, error) {
	b := newBackend(config)
	return driver.Open(config, layout.Native(path.Base(config.Prefix)), b, 0), nil
}

// backend is one opening of a directory: the single steps that package driver takes.
type backend struct {
	driver.Exclusive
	timeout time.Duration
	path    string        // of the prefix
	gate    chan struct{} // the lock among the goroutines of this registry, in the order of their coming
}

func newBackend(config discovery.Config) *backend {
	b := &backend{timeout: config.Timeout, path: "/" + config.Prefix, gate: make(chan struct{}, 1)}
	b.Exclusive = b.alone
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

// CheckRecord is that of driver.RecordChecker.
func (b *backend) CheckRecord(key string, _ []byte) error { return validKey(key) }

// validKey refuses what no file can be called.
func validKey(key string) error {
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName {
			return discovery.Invalidf("a name has %d bytes, escaped; a file's has %d at most", len(name), maxName)
		}
	}
	return nil
}

// alone calls f with the lock, which the kernel takes back from who dies.
func (b *backend) alone(ctx context.Context, f func(driver.Space) error) error {
	_, err := driver.Call(ctx, b.timeout, b, func(ctx context.Context) (none any, err error) {
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
		d := &directory{backend: b, expires: forever}
		if err == nil {
			d.revision, err = b.readRevision()
		}
		if err == nil {
			err = f(d)
		}
		return none, err
	})
	return err
}

func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// readRevision gives the count of changes. It is read without the lock, too.
func (b *backend) readRevision() (int64, error) {
	text, err := os.ReadFile(filepath.Join(b.path, revisionFile))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(b.path)
		return 0, err
	}
	revision, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return revision, err
}

// file is the path of a key, which begins with the prefix.
func (b *backend) file(key string) string {
	return filepath.Join(filepath.Dir(b.path), filepath.FromSlash(key))
}

// directory is where the keys are files, for who has the lock: a driver.Space.
type directory struct {
	*backend
	revision int64
	expires  time.Time // the first of what List and Read have met
}

func (d *directory) Changes() int64 { return d.revision }

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

func (d *directory) Remove(key string) error {
	if err := os.Remove(d.file(key)); err != nil {
		return err
	}
	return d.count()
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

// List gives a key, or all files below one that ends with a slash.
func (d *directory) List(key string) (c driver.Changes, err error) {
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
		more, err := d.List(below)
		if err != nil {
			return c, err
		}
		c.Items = append(c.Items, more.Items...)
	}
	return c, errors.Join(err, validKey(key))
}

// Wait looks every now and then whether anything has changed, or the time of what was read is over.
func (d *directory) Wait() func(context.Context) error {
	return func(ctx context.Context) error {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case now := <-ticker.C:
				revision, err := d.readRevision()
				if err != nil || revision != d.revision || now.After(d.expires) {
					return driver.Explain(d, err, 0)
				}
			}
		}
	}
}
