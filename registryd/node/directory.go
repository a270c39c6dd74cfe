package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/envharness/envharness/internal/failure"
)

var (
	errForeign = errors.New("it belongs to another user")
	errOpen    = errors.New("other users may enter it")
)

// makePrivate makes a directory that only this user enters. One that is there already is not changed: it may be
// everybody's, such as /tmp.
func makePrivate(directory string) error {
	info, err := os.Stat(directory)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(directory), 0o755); err != nil {
			return err
		}
		return os.Mkdir(directory, 0o700)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is no directory")
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%w, of ID %d", errForeign, owner.Uid)
	}
	if info.Mode()&0o077 != 0 {
		return fmt.Errorf("%w: its mode is %04o", errOpen, info.Mode().Perm())
	}
	return nil
}

func dataError(directory string, err error) error {
	e := &failure.Error{Problem: fmt.Sprintf("cannot open the data in %s: %v", directory, err), Err: err}
	var damage *damage
	switch {
	case errors.As(err, &damage):
		e.Next = "restore the last snapshot, as docs/operating.md tells; what is there stays as it is"
	case errors.Is(err, errLocked):
		e.Next = "another envdiscoverd uses it: stop that one, or give another directory by --data"
	case errors.Is(err, errOpen):
		e.Next = "if it is for nothing else: chmod 700 " + directory + "; else give one in it, which is made then: --data " + filepath.Join(directory, "envdiscoverd")
	case errors.Is(err, errForeign):
		e.Next = "run as that user, or give a directory of this user's own by --data"
	case errors.Is(err, os.ErrPermission):
		e.Next = "give a directory that this user may write by --data"
	}
	return e
}
