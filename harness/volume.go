package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// generations is the link in a Kubernetes volume that leads to the directory of the files as they are now; a file is a
// link through it. A new generation is a new directory, to which that link is turned at once.
const generations = "..data"

// volume is one generation of a directory's files. It is empty for a directory that has none.
type volume struct{ dir, generation string }

// volumeOf looks for the link among what a directory holds.
func volumeOf(dir string, found []fs.DirEntry) volume {
	if !slices.ContainsFunc(found, func(f fs.DirEntry) bool { return f.Name() == generations }) {
		return volume{}
	}
	generation, err := os.Readlink(filepath.Join(dir, generations))
	if err != nil {
		return volume{}
	}
	return volume{dir, generation}
}

// resolve is where a file is in this generation.
func (v volume) resolve(path string) string {
	if v.generation == "" {
		return path
	}
	target, err := os.Readlink(path)
	name, through := strings.CutPrefix(target, generations+"/")
	if err != nil || !through {
		return path
	}
	if filepath.IsAbs(v.generation) {
		return filepath.Join(v.generation, name)
	}
	return filepath.Join(v.dir, v.generation, name)
}

// isStale tells whether an entry's generation is not the current one any more.
func isStale(e entry) bool {
	if e.at == e.path {
		return false
	}
	now, err := filepath.EvalSymlinks(filepath.Dir(e.path) + "/" + generations)
	if err != nil {
		return true
	}
	then, err := filepath.EvalSymlinks(filepath.Dir(e.at))
	return err != nil || now != then
}

// hasGone tells whether an entry's generation is not there any more.
func hasGone(e entry) bool {
	if e.at == e.path {
		return false
	}
	_, err := os.Lstat(e.at)
	return errors.Is(err, fs.ErrNotExist) && isStale(e)
}

// isMounted tells whether an entry lies on a mount whose files have names and modes that somebody else decides, so that
// renaming one, or chmod, is no advice.
func isMounted(e entry) bool {
	return e.at != e.path || unix.Access(e.dir, unix.W_OK) == unix.EROFS
}
