package harness

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

// An entry is one name of an environment or export directory that takes part: the rows of the contract's
// table that skip an entry have been applied, those that look at the file itself are applied when it is read or runs.
type entry struct {
	name string // of the file; of the variable that it decides, once that is known
	path string // of the file, as people know it
	dir  string
	at   string // where the file is: path, or where that led when its directory was listed
	kind entryKind
	rank int // of two entries that give a name, the one with the higher rank decides it

	executable bool
	content    []byte // of a file that need not run
	err        error  // why it decides nothing

	cancel *child.Cancel // ends its executable when nobody wants its value any more; nil where that cannot be
}

// A listing is what a directory holds, in byte order of names.
type listing struct {
	entries []entry
	masked  []string // names that a link to /dev/null masks
	special []Finding
}

// listingRules are the rules for what takes part.
type listingRules struct {
	ignored func(name string) bool
	special slog.Level // at which a directory, socket, fifo or device is told of
}

var (
	entryRules  = listingRules{isIgnored, slog.LevelWarn}
	secretRules = listingRules{isHidden, slog.LevelDebug} // /run/secrets has a directory of Kubernetes' own
)

// readDirectory sorts out what takes part. A missing directory is an empty one.
func readDirectory(dir string, rules listingRules, log *slog.Logger) (listing, error) {
	var l listing
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, &Error{Subject: dir, Problem: "cannot read the directory: " + text.Reason(err), Next: directoryHint(err), Err: err}
	}
	volume := volumeOf(dir, found)
	for _, f := range found {
		e := entry{name: f.Name(), path: filepath.Join(dir, f.Name()), dir: dir}
		e.at = volume.resolve(e.path)
		switch {
		case rules.ignored(e.name):
			log.Debug("skipped: a hidden, backup or documentation file", "path", e.path)
		case f.Type()&fs.ModeSymlink != 0 && isMask(e.path):
			log.Debug("masked by a link to /dev/null", "path", e.path)
			l.masked = append(l.masked, e.name)
		default:
			if kind := specialKind(e.path, f.Type()); kind != "" {
				skipped := Finding{Path: e.path, Problem: "skipped: not a file but a " + kind, Hint: "move it elsewhere, or begin its name with a dot"}
				log.Log(context.Background(), rules.special, skipped.Problem, "path", e.path)
				if rules.special >= slog.LevelWarn {
					l.special = append(l.special, skipped)
				}
				continue
			}
			l.entries = append(l.entries, e)
		}
	}
	return l, nil
}

// mustExist refuses a missing directory where somebody named it to have it looked at.
func mustExist(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return &Error{Subject: dir, Problem: "cannot read the directory: " + text.Reason(err), Next: "name an environment directory", Err: err}
	}
	return nil
}

func directoryHint(err error) string {
	if errors.Is(err, syscall.ENOTDIR) {
		return "name a directory whose files are the entries"
	}
	return "the harness's own user needs read and search permission for it"
}

// isIgnored knows the names that editors, package managers and file systems leave behind, and documentation.
func isIgnored(name string) bool {
	switch {
	case strings.HasPrefix(name, "."),
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"),
		strings.HasPrefix(name, "README"),
		name == "lost+found",
		strings.Contains(name, ".dpkg-"):
		return true
	}
	return slices.ContainsFunc([]string{"~", ".bak", ".orig", ".swp", ".md", ".txt"}, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}

// isMask tells whether the link at path leads to /dev/null, as systemd masks a unit. The text of the link
// counts too, for images that have no /dev.
func isMask(path string) bool {
	if target, err := os.Readlink(path); err == nil && target == os.DevNull {
		return true
	}
	var link, null unix.Stat_t
	return unix.Stat(path, &link) == nil && unix.Stat(os.DevNull, &null) == nil &&
		link.Mode&unix.S_IFMT == unix.S_IFCHR && link.Rdev == null.Rdev
}

// specialKind names what path is when it is neither a regular file nor a link without a target.
func specialKind(path string, mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		mode = info.Mode()
	}
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "fifo"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	case mode&fs.ModeIrregular != 0:
		return "irregular file"
	}
	return ""
}

// inspect looks at the file behind an entry, links followed, and says whether one of its execute bits is set.
func inspect(e entry) (executable bool, err error) {
	info, err := os.Stat(e.at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, missing(e.path)
	case errors.Is(err, syscall.ELOOP):
		return false, &Error{Subject: e.path, Problem: "a link that leads to itself", Next: "remove the link or let it point to a file", Err: err}
	case err != nil:
		return false, &Error{Subject: e.path, Problem: "cannot look at it: " + text.Reason(err), Next: "the harness's own user needs search permission for every directory on the way to it", Err: err}
	case !info.Mode().IsRegular():
		return false, &Error{Subject: e.path, Problem: "is no longer a file", Next: "do not change the directory while it is in use"}
	}
	return info.Mode()&0o111 != 0, nil
}

func missing(path string) error {
	if target, err := os.Readlink(path); err == nil {
		return &Error{
			Subject: path,
			Problem: "a dangling link: " + text.Printable(target) + " does not exist",
			Next:    "mount or create the target, or remove the link",
			Err:     fs.ErrNotExist,
		}
	}
	return &Error{Subject: path, Problem: "disappeared before it could run", Next: "do not change the directory while it is in use", Err: fs.ErrNotExist}
}

// nameError refuses a name that cannot be a variable's.
func nameError(e entry) error {
	failed := &Error{
		Subject: e.path,
		Problem: "its name cannot be a variable: a name is a letter or _ and then letters, digits or _ ([A-Za-z_][A-Za-z0-9_]*)",
		Next:    "rename the file, or begin its name with a dot to have it skipped",
	}
	if isMounted(e) {
		upper, _ := NamesUpper.Of(e.name)
		failed.Next = "--names upper makes " + upper + " of it, --names skip leaves it out; of a mount of secrets --secrets takes the files as they are"
	}
	return failed
}

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
