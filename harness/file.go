package harness

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// writeFile replaces what a user names. A link is followed; what is no regular file (/dev/stdout) is written
// to as it is.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, content, mode)
	}
	return replaceFile(path, content, mode, nil)
}

// replaceFile replaces a file as a whole: a reader sees the old content or the new, and a failure leaves the
// old. A link is replaced, not followed. The new file is owner's, or the harness's own user's without one.
func replaceFile(path string, content []byte, mode os.FileMode, owner *commandUser) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.FormatUint(rand.Uint64(), 36))
	err := writeNew(temporary, content, mode, owner)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}

// writeNew makes a file that must not exist yet, so that nobody can have put a link in its place.
func writeNew(path string, content []byte, mode os.FileMode, owner *commandUser) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if owner != nil {
		err = file.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		_, err = file.Write(content)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
