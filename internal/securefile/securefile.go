// Package securefile writes files by paths in which other users may have a say: a directory such as /tmp, a
// volume that containers share, a home directory that root writes to.
//
// # The rule
//
// A path is walked one component at a time, by descriptors, so that what was looked at is what is used. A
// symbolic link is followed only if it is root's or the caller's own (the effective user of the calling thread),
// in a directory of theirs where nobody else can have moved it.
// A file is made under a name of its own, exclusively, in the directory that was walked to; it is written, synced,
// and renamed over the old one: a reader sees the old content or the new, and a failure leaves the old. Nothing
// that is there already is ever opened with O_CREAT or truncated. A FIFO or a character device is written to only
// if it is root's or the caller's own, and never waits for a reader.
//
// # What to call
//
// [Write] replaces the file at a path that a person named. [MakeDir] makes a directory and its parents, or takes
// what is there, for several files in one place; [OpenDir] opens one that exists. A [Dir] holds its directory: what happens to the
// path afterwards does not matter.
package securefile

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrForeign is the cause when another user has a say in where a path leads, or in who reads what is written.
var ErrForeign = errors.New("another user's")

// Error says which part of a path was refused, and why.
type Error struct {
	Path   string // as far as it was walked
	Reason string // a clause for people: "is another user's link"
	Err    error  // ErrForeign or an errno, for errors.Is
}

func (e *Error) Error() string { return e.Path + " " + e.Reason }

// Is gives the cause. It is not unwrapped, because an errno's own words would hide Reason.
func (e *Error) Is(target error) bool { return errors.Is(e.Err, target) }

// Owner is whom a written file belongs to. Only root may give files away.
type Owner struct{ UID, GID int }

// Write replaces the file at name by one with content and mode (less the umask), owned by owner, or by the caller
// when owner is nil. The directory must exist. /dev/stdout, /dev/stderr and /dev/fd/N are the descriptors of this
// process, which are written to as they are; so is a FIFO or a character device that is root's or the caller's.
//
// An error that is ErrForeign is an *Error; others are those of the system calls.
func Write(name string, content []byte, mode fs.FileMode, owner *Owner) error {
	if fd, is := ownDescriptor(name); is {
		return writePatiently(fd, content, time.Time{})
	}
	w := walk{follow: true, own: -1}
	defer w.close()
	last, err := w.to(name)
	if err != nil {
		return err
	}
	if w.own >= 0 {
		return writePatiently(w.own, content, time.Time{})
	}
	switch kind := w.found.Mode & unix.S_IFMT; kind {
	case 0, unix.S_IFREG:
		return replace(w.dir, last, content, mode, owner)
	case unix.S_IFIFO, unix.S_IFCHR:
		return w.writeSpecial(last, content)
	case unix.S_IFDIR:
		return &Error{Path: name, Reason: "is a directory", Err: unix.EISDIR}
	}
	return &Error{Path: name, Reason: "is neither a file nor a FIFO nor a character device", Err: unix.EINVAL}
}

// replace writes a new file in dir and renames it to name.
func replace(dir int, name string, content []byte, mode fs.FileMode, owner *Owner) error {
	temporary, fd, err := makeTemporary(dir, mode)
	if err != nil {
		return err
	}
	if err = fill(fd, content, owner); err == nil {
		err = unix.Renameat(dir, temporary, dir, name)
	}
	if err != nil {
		unix.Unlinkat(dir, temporary, 0)
	}
	return err
}

// makeTemporary makes a file that nobody can have foreseen. Its name begins with a dot, so that a directory of
// entries skips it, and does not hold the final name, which may be as long as a name can be.
func makeTemporary(dir int, mode fs.FileMode) (name string, fd int, err error) {
	for range 100 {
		name = ".new-" + strconv.FormatUint(randomNumber(), 36)
		fd, err = retry(func() (int, error) {
			return unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode.Perm()))
		})
		if err != unix.EEXIST {
			break
		}
	}
	return name, fd, err
}

// fill gives a new file its owner and its content, syncs it and closes it.
func fill(fd int, content []byte, owner *Owner) error {
	var err error
	if owner != nil {
		err = unix.Fchown(fd, owner.UID, owner.GID)
	}
	if err == nil {
		err = writeAll(fd, content)
	}
	if err == nil {
		err = sync(fd)
	}
	return errors.Join(err, unix.Close(fd))
}

// sync brings a file to its disk; some file systems have none to bring it to.
func sync(fd int) error {
	_, err := retry(func() (int, error) { return 0, unix.Fsync(fd) })
	if err == unix.EINVAL || err == unix.ENOTSUP {
		return nil
	}
	return err
}

func writeAll(fd int, content []byte) error {
	for len(content) > 0 {
		n, err := retry(func() (int, error) { return unix.Write(fd, content) })
		if err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// retry makes a system call again while a signal interrupts it.
func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// isOwn tells whether a file is root's or the caller's own.
func isOwn(info unix.Stat_t) bool {
	return info.Uid == 0 || int(info.Uid) == unix.Geteuid()
}

// mostLinks is how many links one path may have, as for the kernel, path_resolution(7).
const mostLinks = 40

// walk is a way through directories.
type walk struct {
	follow  bool        // the last component, too, is followed when it is a link
	make    fs.FileMode // missing directories are made with this mode, unless it is 0
	dir     int         // the directory it has come to
	opened  bool        // dir is to be closed
	at      string      // its path, for errors
	links   int         // followed so far
	foreign string      // the first directory on the way that is another user's
	found   unix.Stat_t // what is under the last component; its Mode is 0 when nothing is
	own     int         // the descriptor of this process that the path stands for, or -1
}

func (w *walk) close() {
	if w.opened {
		unix.Close(w.dir)
	}
	w.opened = false
}

// enter makes fd the directory that the walk has come to.
func (w *walk) enter(fd int, at string) {
	w.close()
	w.dir, w.opened, w.at = fd, true, at
}

// to walks to the directory of name and gives the last component, whose state is in found.
func (w *walk) to(name string) (last string, err error) {
	if err := w.begin(name); err != nil {
		return "", err
	}
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		last = rest[len(rest)-1]
		if err := w.through(rest[:len(rest)-1]); err != nil {
			return "", err
		}
		if rest, err = w.look(last); err != nil {
			return "", err
		}
	}
	return last, nil
}

// through goes through directories, one after the other.
func (w *walk) through(rest []string) (err error) {
	for len(rest) > 0 {
		component := rest[0]
		rest = rest[1:]
		if component == "" || component == "." {
			continue
		}
		if rest, err = w.step(component, rest); err != nil {
			return err
		}
	}
	return nil
}

// begin opens the directory in which a path begins.
func (w *walk) begin(name string) error {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return &Error{Path: strconv.Quote(name), Reason: "is no path", Err: unix.ENOENT}
	}
	at := "."
	if path.IsAbs(name) {
		at = "/"
	}
	fd, err := openDirectory(unix.AT_FDCWD, at)
	if err != nil {
		return err
	}
	w.enter(fd, at)
	return w.judge(fd)
}

// judge notes a directory that is another user's.
func (w *walk) judge(fd int) error {
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return err
	}
	if !isOwn(info) && w.foreign == "" {
		w.foreign = w.at
	}
	return nil
}

// step goes into a directory, or gives the components that a link leads to.
func (w *walk) step(component string, rest []string) ([]string, error) {
	switch err := w.goInto(component); err {
	case nil:
		return rest, nil
	case unix.ENOTDIR, unix.ELOOP, unix.EMLINK: // EMLINK is a BSD's word for a link
		return w.turn(component, rest, err)
	default:
		return nil, w.failed(component, err)
	}
}

// goInto enters a directory that is no link, and makes it when it is missing and may be made.
func (w *walk) goInto(component string) error {
	fd, err := openDirectory(w.dir, component)
	if err == unix.ENOENT && w.make != 0 {
		if err = unix.Mkdirat(w.dir, component, uint32(w.make)); err == nil || err == unix.EEXIST {
			fd, err = openDirectory(w.dir, component)
		}
	}
	if err != nil {
		return err
	}
	w.enter(fd, path.Join(w.at, component))
	return w.judge(fd)
}

// look finds what the last component is, and follows it when it is a link. The components that follow from it are
// given, none when this is the end.
func (w *walk) look(component string) ([]string, error) {
	if component == "" || component == "." || component == ".." {
		return nil, &Error{Path: path.Join(w.at, component), Reason: "is a directory", Err: unix.EISDIR}
	}
	w.found = unix.Stat_t{}
	err := unix.Fstatat(w.dir, component, &w.found, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		w.found = unix.Stat_t{}
		return nil, nil
	case err != nil:
		return nil, w.failed(component, err)
	case w.follow && w.found.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.turn(component, nil, unix.ELOOP)
	}
	return nil, nil
}

// turn goes on where a link leads, if it may be followed. otherwise is the error when it is no link.
func (w *walk) turn(component string, rest []string, otherwise error) ([]string, error) {
	at := path.Join(w.at, component)
	info, target, err := readLink(w.dir, component)
	switch {
	case err == unix.EINVAL: // no link
		return nil, w.failed(component, otherwise)
	case err == unix.ELOOP:
		return nil, &Error{Path: at, Reason: "leads to what a process has open: name /dev/stdout, /dev/stderr or the file itself", Err: err}
	case err != nil:
		return nil, w.failed(component, err)
	case !w.mayFollow(info):
		return nil, &Error{Path: at, Reason: "is a link that another user has made or could have moved there", Err: ErrForeign}
	case w.links == mostLinks:
		return nil, w.failed(component, unix.ELOOP)
	}
	w.links++
	if fd, is := ownDescriptor(target); is && len(rest) == 0 {
		w.own = fd
		return nil, nil
	}
	if path.IsAbs(target) {
		if err := w.begin(target); err != nil {
			return nil, err
		}
	}
	return append(strings.Split(target, "/"), rest...), nil
}

// mayFollow tells whether a link is one that root or the caller made, and made here: whoever may rename what a
// directory holds can move a link of root's, and in a sticky one that is everybody's, as /tmp, give it a second name.
func (w *walk) mayFollow(link unix.Stat_t) bool {
	var dir unix.Stat_t
	if !isOwn(link) || unix.Fstat(w.dir, &dir) != nil || !isOwn(dir) {
		return false
	}
	return !isShared(dir) || dir.Mode&unix.S_ISVTX != 0 && link.Nlink == 1
}

// isShared tells whether others than root, the caller and the caller's group may write to a directory.
func isShared(dir unix.Stat_t) bool {
	return dir.Mode&0o002 != 0 || dir.Mode&0o020 != 0 && dir.Gid != 0 && int(dir.Gid) != unix.Getegid()
}

func (w *walk) failed(component string, err error) error {
	return &fs.PathError{Op: "open", Path: path.Join(w.at, component), Err: err}
}
