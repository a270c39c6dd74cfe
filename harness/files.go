package harness

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/envfmt"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// fileSuffix ends the name of a variable that names the file of another one's value.
const fileSuffix = "_FILE"

// DefaultFiles is where values stand that AsFile keeps out of the environment: in memory, and writable in a read-only
// container.
const DefaultFiles = "/dev/shm/envharness"

// expandFiles gives NAME the content of the file that NAME_FILE names, where NAME is not set. It is done twice: before
// executables, which may use NAME, and after them, because one may have decided NAME_FILE. failed is told of a file that
// cannot be read, unless it is nil.
func (s *startup) expandFiles(failed func(error)) {
	if !s.ExpandFiles {
		return
	}
	for _, file := range slices.Collect(s.env.Each) {
		name, ends := strings.CutSuffix(file, fileSuffix)
		free := !s.env.Has(name) || s.expanded[name] && s.ranks[name] == 0
		if !ends || !envfmt.IsName(name) || !free || s.env.Value(file) == "" {
			continue
		}
		began := time.Now()
		value, err := s.fileValue(name, s.env.Value(file))
		unset := err == nil && value == "" && s.Empty == EmptyUnset
		switch {
		case unset:
			s.env.Unset(name)
		case err == nil:
			s.env.Set(name, value)
		case failed != nil:
			failed(&Error{Subject: file, Problem: "the file that it names gives no value for " + name + ": " + problemOf(err), Next: "mount the file, set " + name + " itself, or unset " + file})
		}
		if err == nil {
			s.expanded[name] = true
			s.resolved[name] = Variable{Name: name, Value: value, Unset: unset, Source: file, Took: time.Since(began)}
		}
	}
}

// fileValue reads a value out of a file. An error does not tell the path, which is a variable's value.
func (s *startup) fileValue(name, file string) (string, error) {
	content, err := patiently(s, name+fileSuffix, func() ([]byte, error) {
		return readFile(entry{path: name + fileSuffix, at: file}, true)
	})
	if err != nil {
		return "", err
	}
	value, refused := s.valueOf(name, content)
	switch {
	case refused != nil:
		return "", refused
	case value == "" && s.Empty == EmptyFail:
		return "", errors.New("it is empty (--empty fail)")
	}
	return value, nil
}

// isAsFile tells whether a variable is to stand in a file.
func (s *startup) isAsFile(name string) bool { return matches(s.AsFile, name) }

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, _ := path.Match(glob, name)
		return ok
	})
}

// fitting is an environment that execve(2) takes: without values that are too long for a variable, because they will
// stand in a file.
func (s *startup) fitting(env *environ.Environ) *environ.Environ {
	if len(s.AsFile) == 0 {
		return env
	}
	env = env.Clone()
	for name := range env.Each {
		if fits(name, env.Value(name)) != nil {
			env.Unset(name)
		}
	}
	return env
}

// fileStore is the directory of values that are no variables.
type fileStore struct {
	dir     *securefile.Dir
	written map[string]string // what stands there
}

// fileVariables are the variables that are to stand in files.
func (s *startup) fileVariables() map[string]string {
	values := map[string]string{}
	for name := range s.env.Each {
		if _, decided := s.resolved[name]; (decided || s.envFile[name] != "") && s.isAsFile(name) {
			values[name] = s.env.Value(name)
		}
	}
	return values
}

// writeFiles brings the files up to date. They are COMMAND's user's, and made as that user, who cannot have the harness
// write where only root may.
func (s *startup) writeFiles() error {
	if len(s.AsFile) == 0 {
		return nil
	}
	write := s.filesWriter()
	_, err := patiently(s, s.Files, func() (struct{}, error) { return struct{}{}, write() })
	return err
}

// filesWriter gives what writes the values of now. It touches nothing else that may change while it waits for a disk.
func (s *startup) filesWriter() func() error {
	values := s.fileVariables()
	return func() error {
		return s.user.Run(func() error { return s.writeFilesAsUser(values) })
	}
}

func (s *startup) writeFilesAsUser(values map[string]string) error {
	if s.files.dir == nil {
		dir, err := openFiles(s.Files)
		if err != nil {
			return err
		}
		s.files.dir, s.files.written = dir, map[string]string{}
	}
	for name, value := range values {
		if old, written := s.files.written[name]; written && old == value {
			continue
		}
		if err := s.files.dir.Write(name, []byte(value), 0o400, nil); err != nil {
			return &Error{Subject: s.Files + "/" + name, Problem: "cannot be written (--as-file): " + text.Reason(err), Next: securefile.Hint(err, filesHint), Err: err}
		}
		s.files.written[name] = value
	}
	for name := range s.files.written {
		if _, still := values[name]; !still {
			s.files.dir.Remove(name)
			delete(s.files.written, name)
		}
	}
	return nil
}

const filesHint = "name a directory with --files that COMMAND's user may write to, in memory if it can be"

// openFiles opens the directory, or makes it. Nobody else may look into it or put another in its place.
func openFiles(name string) (*securefile.Dir, error) {
	dir, err := securefile.MakeDir(name, 0o700)
	if err != nil {
		return nil, &Error{Subject: name, Problem: "cannot be made (--files): " + text.Reason(err), Next: securefile.Hint(err, filesHint), Err: err}
	}
	owner, mode, err := dir.Stat()
	switch {
	case err != nil:
	case owner.UID != os.Geteuid():
		err = errors.New("it belongs to another user")
	case mode&0o077 != 0:
		err = errors.New("it is open to others (" + fs.FileMode(mode).String() + ")")
	default:
		return dir, nil
	}
	dir.Close()
	return nil, &Error{Subject: name, Problem: "cannot be used (--files): " + text.Reason(err), Next: "chmod 700 it and let it belong to COMMAND's user, or name another directory", Err: err}
}

// withFiles replaces variables that stand in files by those that name the files.
func (s *startup) withFiles(env *environ.Environ) *environ.Environ {
	if len(s.AsFile) == 0 {
		return env
	}
	for name := range s.fileVariables() {
		env.Unset(name)
		env.Set(name+fileSuffix, s.Files+"/"+name)
	}
	return env
}

// runPrepare runs what prepares COMMAND, with its variables.
func (s *startup) runPrepare() {
	for _, path := range s.Prepare {
		if !s.mayContinue() {
			return
		}
		s.prepareOne(entry{name: path, path: path, at: path})
	}
}

func (s *startup) prepareOne(e entry) {
	span := timeline.Span{Phase: "prepare", Name: e.name, Path: e.path, Start: s.elapsed(), Tries: 1}
	out, err := s.execute(e, s.commandEnviron(), true)
	if out.Held != nil {
		out.Held.Release()
		err = &Error{Subject: e.path, Problem: "said READY=1, and what prepares COMMAND has to end (--prepare)", Next: "let it exit when it is done, or put it into /export"}
	}
	span.End, span.Outcome = s.elapsed(), outcomeOf(err)
	s.addSpan(span)
	if err != nil && !errors.Is(err, child.ErrStopped) {
		s.record(err)
	}
}
