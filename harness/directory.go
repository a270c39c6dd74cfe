package harness

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// An entry is one name of an environment or export directory that takes part: the rows of the contract's
// table that skip an entry have been applied, those that look at the file itself are applied when it runs.
type entry struct {
	name string
	path string
	dir  string
}

// A listing is what a directory holds, in byte order of names.
type listing struct {
	entries []entry
	masked  []string // names that a link to /dev/null masks
	special []Finding
}

// readDirectory sorts out what takes part. A missing directory is an empty one.
func readDirectory(dir string, log *slog.Logger) (listing, error) {
	var l listing
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, &Error{Subject: dir, Problem: "cannot read the directory: " + text.Reason(err), Next: directoryHint(err), Err: err}
	}
	for _, f := range found {
		e := entry{name: f.Name(), path: filepath.Join(dir, f.Name()), dir: dir}
		switch {
		case isIgnored(e.name):
			log.Debug("skipped: a hidden, backup or documentation file", "path", e.path)
		case f.Type()&fs.ModeSymlink != 0 && isMask(e.path):
			log.Debug("masked by a link to /dev/null", "path", e.path)
			l.masked = append(l.masked, e.name)
		default:
			if kind := specialKind(e.path, f.Type()); kind != "" {
				skipped := Finding{Path: e.path, Problem: "skipped: not a file but a " + kind, Hint: "move it elsewhere, or begin its name with a dot"}
				log.Warn(skipped.Problem, "path", e.path)
				l.special = append(l.special, skipped)
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

// mergeDirectories lists several directories as one: a later one's entry replaces the same name of an
// earlier one, and a later mask removes it. The order is the byte order of names.
func mergeDirectories(dirs []string, log *slog.Logger) (entries []entry, failures []error) {
	merged := map[string]entry{}
	for _, dir := range dirs {
		l, err := readDirectory(dir, log)
		if err != nil {
			failures = append(failures, err)
		}
		for _, name := range l.masked {
			delete(merged, name)
		}
		for _, e := range l.entries {
			merged[e.name] = e
		}
	}
	for _, e := range merged {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries, failures
}

// inspect looks at the file behind an entry at the moment of running, links followed, and says whether it
// is executable: whether one of its execute bits is set.
func inspect(path string) (executable bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, missing(path)
	case errors.Is(err, syscall.ELOOP):
		return false, &Error{Subject: path, Problem: "a link that leads to itself", Next: "remove the link or let it point to a file", Err: err}
	case err != nil:
		return false, &Error{Subject: path, Problem: "cannot look at it: " + text.Reason(err), Err: err}
	case !info.Mode().IsRegular():
		return false, &Error{Subject: path, Problem: "is no longer a file", Next: "do not change the directory while it is in use"}
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
func nameError(path string) error {
	return &Error{
		Subject: path,
		Problem: "its name cannot be a variable: a name is a letter or _ and then letters, digits or _ ([A-Za-z_][A-Za-z0-9_]*)",
		Next:    "rename the file, or begin its name with a dot to have it skipped",
	}
}
