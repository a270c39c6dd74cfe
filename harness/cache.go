package harness

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/text"
)

// openCache checks the directory of last-known-good values, and makes it if it is missing. It holds secrets,
// so it must be the harness's own user's and closed to everybody else.
func openCache(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{Subject: dir, Problem: "cannot be made for --cache: " + text.Reason(err), Next: "mount a directory there that the harness may write to", Err: err}
	}
	var info unix.Stat_t
	if err := unix.Lstat(dir, &info); err != nil {
		return &Error{Subject: dir, Problem: "cannot look at it for --cache: " + text.Reason(err), Err: err}
	}
	problem, hint := "", ""
	switch {
	case info.Mode&unix.S_IFMT != unix.S_IFDIR:
		problem, hint = "is not a directory (--cache)", "name the directory itself, not a link to it"
	case int(info.Uid) != os.Getuid():
		problem, hint = "belongs to another user (--cache)", "chown it to the harness's own user"
	case info.Mode&0o077 != 0:
		problem, hint = "is open to others (--cache), and it holds secrets", "chmod 700 "+text.ShellQuote(dir)
	default:
		return nil
	}
	return &Error{Subject: dir, Problem: problem, Next: hint}
}

// throughCache keeps a good value for later, and gives the last good one in place of a failure.
func (s *startup) throughCache(e entry, v *evaluation, value string, err error) (string, error) {
	file := filepath.Join(s.Cache, e.name)
	if err == nil {
		if err := replaceFile(file, []byte(value), 0o600, nil); err != nil {
			s.Log.Warn("the value could not be cached", "name", e.name, "problem", text.Reason(err))
		}
		return value, nil
	}
	cached, age, cacheErr := readCached(file)
	if cacheErr != nil {
		return "", err
	}
	if age > s.CacheMaxAge {
		s.Log.Warn("a cached value is too old to be used", "name", e.name, "age", text.Duration(age))
		return "", err
	}
	s.Log.Warn("failed; its last known value is used", "path", e.path, "problem", problemOf(err), "age", text.Duration(age))
	v.source, v.span.Outcome = file, timeline.Cached
	return cached, nil
}

// readCached reads a value that only the harness's own user can have written.
func readCached(path string) (value string, age time.Duration, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	var info unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &info); err != nil {
		return "", 0, err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG || int(info.Uid) != os.Getuid() || info.Mode&0o077 != 0 {
		return "", 0, os.ErrPermission
	}
	content, err := io.ReadAll(io.LimitReader(file, maxEntry))
	written := time.Unix(info.Mtim.Unix())
	return string(content), max(time.Since(written), 0), err
}

// problemOf is what happened, without the path.
func problemOf(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Problem
	}
	return err.Error()
}
