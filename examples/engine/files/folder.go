package files

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery/layout"
)

const (
	lookEvery    = 50 * time.Millisecond // how often a watch looks
	lockEvery    = time.Millisecond      // how often a lock that another process has is tried
	maxName      = 255                   // bytes of a file's name
	lockFile     = ".lock"
	revisionFile = ".revision"
	newFile      = ".new" // what is being written; names of the layout begin with no dot
)

// forever is the modification time of what has no TTL.
var forever = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// directory is where the keys are files. Its methods are for who has the lock, but locked and changed.
type directory struct {
	path     string        // of the prefix
	gate     chan struct{} // the lock among the goroutines of this registry, in the order of their coming
	revision int64         // as read at the beginning of locked, and counted up by changes
	expires  time.Time     // the first of what list and read have met
}

// file is one key and its value.
type file struct {
	key     string
	data    []byte
	expires time.Time
}

func newDirectory(path string) directory {
	return directory{path: path, gate: make(chan struct{}, 1)}
}

// validKey refuses what no file can be called.
func validKey(key string) error {
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName {
			return invalid("a name has %d bytes, escaped; a file's has %d at most", len(name), maxName)
		}
	}
	return nil
}

// locked calls f with the lock, which the kernel takes back from who dies.
func (d directory) locked(ctx context.Context, f func(*directory) error) error {
	select {
	case d.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.gate }()
	if err := os.Mkdir(d.path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(d.path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // unlocks
	for err = tryLock(lock); errors.Is(err, syscall.EWOULDBLOCK); err = tryLock(lock) {
		select {
		case <-time.After(lockEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err == nil {
		d.revision, err = d.readRevision()
	}
	if err != nil {
		return err
	}
	d.expires = forever
	return f(&d)
}

func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// changed looks, without the lock, whether anything has changed since a revision.
func (d directory) changed(since int64) (bool, error) {
	revision, err := d.readRevision()
	return revision != since, err
}

func (d directory) readRevision() (int64, error) {
	text, err := os.ReadFile(filepath.Join(d.path, revisionFile))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(d.path)
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	revision, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return revision, nil
}

// file is the path of a key, which begins with the prefix.
func (d directory) file(key string) string {
	return filepath.Join(filepath.Dir(d.path), filepath.FromSlash(key))
}

// count notes a change.
func (d *directory) count() error {
	d.revision++
	return d.write(filepath.Join(d.path, revisionFile), strconv.AppendInt(nil, d.revision, 10), forever)
}

// put writes a file, which is there until expires.
func (d *directory) put(key string, data []byte, expires time.Time) error {
	err := os.MkdirAll(filepath.Dir(d.file(key)), 0o700)
	if err == nil {
		err = d.write(d.file(key), data, expires)
	}
	if err != nil {
		return err
	}
	return d.count()
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

// renew moves the end of a file on.
func (d *directory) renew(key string, expires time.Time) error {
	return os.Chtimes(d.file(key), expires, expires)
}

func (d *directory) remove(key string) error {
	if err := os.Remove(d.file(key)); err != nil {
		return err
	}
	return d.count()
}

// read gives a file, nil when there is none. One whose time is over is removed.
func (d *directory) read(key string) (*file, error) {
	info, err := os.Stat(d.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	if !time.Now().Before(info.ModTime()) {
		return nil, d.remove(key)
	}
	if info.ModTime().Before(d.expires) {
		d.expires = info.ModTime()
	}
	data, err := os.ReadFile(d.file(key))
	return &file{key, data, info.ModTime()}, err
}

// list gives all files below a key that ends with a slash, in the order of their keys; nil when that is no
// directory.
func (d *directory) list(prefix string) ([]file, error) {
	entries, err := os.ReadDir(d.file(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files := []file{}
	for _, entry := range entries {
		key := prefix + entry.Name()
		if entry.IsDir() {
			below, err := d.list(key + "/")
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
			continue
		}
		f, err := d.read(key)
		if err != nil {
			return nil, err
		}
		if f != nil {
			files = append(files, *f)
		}
	}
	return files, err
}

// A file of services has the record in its first line, and in its second who wrote it.

func ownedBy(data []byte, owner string) []byte {
	return append(append(bytes.Clone(data), '\n'), owner...)
}

func recordAndOwner(data []byte) (record []byte, owner string) {
	record, rest, _ := bytes.Cut(data, []byte("\n"))
	return record, string(rest)
}

func recordsOf(files []file) []layout.Record {
	records := make([]layout.Record, len(files))
	for i, f := range files {
		record, _ := recordAndOwner(f.data)
		records[i] = layout.Record{Key: f.key, Value: record}
	}
	return records
}
