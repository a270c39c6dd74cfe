package securefile

import (
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is a directory, held by its descriptor.
type Dir struct {
	fd      int
	path    string
	foreign string
}

// OpenDir opens a directory that exists. Its last component may be a link only with follow, and then one of root's
// or of the caller's. The caller closes it.
func OpenDir(name string, follow bool) (*Dir, error) { return openDir(name, follow, 0) }

// MakeDir is OpenDir, without a link for its last component, and makes the directory and its parents with mode if they are missing.
func MakeDir(name string, mode fs.FileMode) (*Dir, error) { return openDir(name, false, mode.Perm()) }

func openDir(name string, follow bool, mode fs.FileMode) (*Dir, error) {
	w := walk{make: mode, own: -1}
	defer w.close()
	if err := w.toDirectory(name, follow); err != nil {
		return nil, err
	}
	w.opened = false
	return &Dir{fd: w.dir, path: name, foreign: w.foreign}, nil
}

// toDirectory walks into the directory that name is. Without follow its last component may not be a link, with a
// slash behind it neither.
func (w *walk) toDirectory(name string, follow bool) error {
	trimmed := strings.TrimRight(name, "/")
	switch path.Base(trimmed) {
	case ".", "..":
		follow = true // no link, or nothing at all
	}
	if follow {
		if err := w.begin(name); err != nil {
			return err
		}
		return w.through(strings.Split(name, "/"))
	}
	last, err := w.to(trimmed)
	if err != nil {
		return err
	}
	if w.found.Mode&unix.S_IFMT == unix.S_IFLNK {
		return &Error{Path: name, Reason: "is a link", Err: unix.ENOTDIR}
	}
	if err := w.goInto(last); err != nil {
		return w.failed(last, err)
	}
	return nil
}

// Close gives the directory up.
func (d *Dir) Close() error { return unix.Close(d.fd) }

// Foreign is the first directory on the way, this one included, that belongs neither to root nor to the caller, or
// empty: its owner can put another directory in this one's place.
func (d *Dir) Foreign() string { return d.foreign }

// Stat gives the directory's owner and permissions.
func (d *Dir) Stat() (owner Owner, mode fs.FileMode, err error) {
	var info unix.Stat_t
	if err := unix.Fstat(d.fd, &info); err != nil {
		return Owner{}, 0, &fs.PathError{Op: "stat", Path: d.path, Err: err}
	}
	return Owner{UID: int(info.Uid), GID: int(info.Gid)}, fs.FileMode(info.Mode & 0o777), nil
}

// Write replaces the file name, which is one component, as the package's Write does. What stands there is
// replaced, whatever it is, but for a directory.
func (d *Dir) Write(name string, content []byte, mode fs.FileMode, owner *Owner) error {
	if err := d.check(name); err != nil {
		return err
	}
	return replace(d.fd, name, content, mode, owner)
}

// Read gives a regular file's content, at most limit bytes, and what Fstat said of it. A link is not followed, and
// nothing is waited for.
func (d *Dir) Read(name string, limit int64) (content []byte, info unix.Stat_t, err error) {
	if err := d.check(name); err != nil {
		return nil, info, err
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, info, &fs.PathError{Op: "open", Path: d.path + "/" + name, Err: err}
	}
	if err := unix.Fstat(fd, &info); err != nil || info.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, info, &Error{Path: d.path + "/" + name, Reason: "is not a regular file", Err: unix.EINVAL}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	content, err = io.ReadAll(io.LimitReader(file, limit))
	return content, info, err
}

// Remove removes a file; a missing one is no error.
func (d *Dir) Remove(name string) error {
	if err := d.check(name); err != nil {
		return err
	}
	if err := unix.Unlinkat(d.fd, name, 0); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "remove", Path: d.path + "/" + name, Err: err}
	}
	return nil
}

// check refuses a name that would lead out of the directory.
func (d *Dir) check(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &Error{Path: d.path + "/" + name, Reason: "is no name of a file", Err: unix.EINVAL}
	}
	return nil
}
