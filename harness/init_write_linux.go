package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/internal/text"
)

// writeEnvironment keeps the dotenv file current for commands that read it themselves.
func (s *startup) writeEnvironment(variables []Variable) error {
	if s.Init.Write == "" {
		return nil
	}
	content, err := envfmt.MarshalDotenv(variables)
	if err != nil {
		return err
	}
	if err := s.writeForCommand(s.Init.Write, content); err != nil {
		return &Error{Subject: s.Init.Write, Problem: "cannot be written (--write): " + text.Reason(err), Next: "name a file in a directory that the harness may write to", Err: err}
	}
	return nil
}

// writeForCommand replaces a file for COMMAND's user alone. Where that user may have put a link in the way, to
// have the harness write where only root may, it is written as that user.
func (s *startup) writeForCommand(path string, content []byte) error {
	const mode = 0o600
	if s.user != nil {
		if target, safe := ownPath(path); safe {
			return replaceFile(target, content, mode, s.user)
		}
	}
	return s.asUser(func() error { return writeFile(path, content, mode) })
}

// ownPath resolves a path's links, and tells whether nobody but root and the harness's own user can have a
// say in where it leads. The file itself need not be there.
func ownPath(path string) (resolved string, own bool) {
	const mostLinks = 40 // as the kernel, path_resolution(7)
	path, err := filepath.Abs(path)
	at, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0 && links <= mostLinks && err == nil && isOwnDirectory(at); {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(rest) == 0:
			return next, true
		case err != nil:
			return "", false
		case info.Mode()&os.ModeSymlink == 0:
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil || !isOwn(info) {
			return "", false
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
		links++
	}
	return at, len(rest) == 0
}

// isOwnDirectory tells whether others can neither add nor replace what a directory holds, or, in a sticky one
// as /tmp, at least not replace it.
func isOwnDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && isOwn(info) && (info.Mode().Perm()&0o022 == 0 || info.Mode()&os.ModeSticky != 0)
}

func isOwn(info fs.FileInfo) bool {
	uid := info.Sys().(*syscall.Stat_t).Uid
	return uid == 0 || int(uid) == os.Getuid()
}
