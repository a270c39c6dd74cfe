package harness

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// openCache opens the directory of last-known-good values, and makes it if it is missing. It holds secrets, so it
// must be the harness's own user's and closed to everybody else, at a place where nobody else can put another one.
func openCache(dir string) (*securefile.Dir, error) {
	d, err := securefile.MakeDir(dir, 0o700)
	if err != nil {
		return nil, cacheError(dir, err)
	}
	owner, mode, err := d.Stat()
	problem, hint := "", ""
	switch {
	case err != nil:
		problem = "cannot look at it for --cache: " + text.Reason(err)
	case owner.UID != os.Geteuid():
		problem, hint = "belongs to another user (--cache)", "chown it to the harness's own user"
	case mode&0o077 != 0:
		problem, hint = "is open to others (--cache), and it holds secrets", "chmod 700 "+text.ShellQuote(dir)
	case d.Foreign() != "":
		problem, hint = text.Printable(d.Foreign())+" on the way to it belongs to another user, who could replace it (--cache)", "name a directory below root's or the harness's own user's ones"
	default:
		return d, nil
	}
	d.Close()
	return nil, &Error{Subject: dir, Problem: problem, Next: hint, Err: err}
}

// cacheError says why there is no such directory.
func cacheError(dir string, err error) error {
	failed := &Error{Subject: dir, Problem: "cannot be made for --cache: " + text.Reason(err), Next: "mount a directory there that the harness may write to", Err: err}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, securefile.ErrForeign) {
		failed.Problem, failed.Next = "is not a directory that can be trusted (--cache): "+text.Reason(err), "name the directory itself, not a link to it"
	}
	return failed
}

// throughCache keeps what gave good values for later, and takes the last good one in place of a failure.
func (s *startup) throughCache(e entry, env *environ.Environ, v *evaluation) {
	if v.err == nil {
		output := v.output
		if !e.isSet() {
			output = trimmed(output)
		}
		if err := s.cache.Write(e.name, output, 0o600, nil); err != nil {
			s.Log.Warn("the value could not be cached", "name", e.name, "problem", text.Reason(err))
		}
		return
	}
	output, age, err := readCached(s.cache, e.name)
	cached := *v
	if err == nil {
		s.take(e, output, env, &cached)
		err = cached.err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.Log.Warn("a cached value is not used", "name", e.name, "problem", text.Reason(err))
	case age > s.CacheMaxAge:
		s.Log.Warn("a cached value is too old to be used", "name", e.name, "age", text.Duration(age))
	default:
		s.Log.Warn("failed; its last known value is used", "path", e.path, "problem", problemOf(v.err), "age", text.Duration(age))
		cached.source, cached.span.Outcome = s.Cache+"/"+e.name, timeline.Cached
		*v = cached
	}
}

// clockSlack is how far in the future a cached value may seem to be written: file servers have clocks of their own.
const clockSlack = 5 * time.Second

// readCached reads what only the harness's own user can have written.
func readCached(dir *securefile.Dir, name string) (output []byte, age time.Duration, err error) {
	output, info, err := dir.Read(name, maxFile+1)
	if err != nil {
		return nil, 0, err
	}
	if int(info.Uid) != os.Geteuid() || info.Mode&0o077 != 0 {
		return nil, 0, errors.New("others may have written it")
	}
	age = time.Since(time.Unix(info.Mtim.Unix()))
	if age < -clockSlack {
		return nil, 0, errors.New("it was written in the future, so its age is not known")
	}
	return output, max(age, 0), nil
}

// problemOf is what happened, without the path.
func problemOf(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Problem
	}
	return err.Error()
}
