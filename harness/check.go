package harness

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/harness/internal/explain"
	"github.com/envharness/envharness/internal/text"
)

// Finding is one thing that would go wrong, or that somebody could make go wrong.
type Finding struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

// Check looks at directories and runs nothing. It finds what the rules for entries refuse, programs whose
// interpreter is missing or that were saved with CR LF, values with CR LF or a byte order mark, files and directories
// that others may write to or replace, and files that are too large to be a value.
//
// export says whether dir is one of /export, whose rules differ.
func Check(dir string, export bool) []Finding {
	c := checker{dir: dir, export: export, seen: map[string]bool{}}
	c.checkReplaceable(dir, 0o002)
	l, err := readDirectory(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		c.addError(err)
	}
	if info, err := os.Stat(dir); err == nil {
		c.checkWritable(dir, info)
	}
	c.findings = append(c.findings, l.special...)
	for _, e := range l.entries {
		c.checkEntry(e)
	}
	return c.findings
}

type checker struct {
	dir      string // that is checked
	export   bool
	seen     map[string]bool // directories that checkReplaceable has looked at
	findings []Finding
}

func (c *checker) add(path, problem, hint string) {
	c.findings = append(c.findings, Finding{Path: path, Problem: problem, Hint: hint})
}

func (c *checker) addError(err error) {
	var e *Error
	if errors.As(err, &e) {
		c.add(e.Subject, e.Problem, e.Next)
	}
}

func (c *checker) checkEntry(e entry) {
	if !c.export && !envfmt.IsName(e.name) {
		c.addError(nameError(e.path))
	}
	executable, err := inspect(e.path)
	if err != nil {
		c.addError(err)
		return
	}
	if info, err := os.Stat(e.path); err == nil {
		c.checkWritable(e.path, info)
	}
	switch {
	case executable:
		c.checkReplaceable(e.path, 0o022)
		explain.Program(e.path, searchPath(), func(problem, hint string) { c.add(e.path, problem, hint) })
	case c.export:
		c.addError(notAnExport(e.path))
	default:
		c.checkPlain(e)
	}
}

func (c *checker) checkPlain(e entry) {
	value, err := plainValue(e)
	if err != nil {
		c.addError(err)
	} else if problem, hint := oddity(value); problem != "" {
		c.add(e.path, problem, hint)
	}
}

// checkReplaceable finds the directories on the way to a path in which others may put something else in its place.
// Of the one that holds it the mode's bits in open are looked at, of those above that everybody may write to them.
// The sticky bit prevents it. A directory is told once.
func (c *checker) checkReplaceable(path string, open fs.FileMode) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		return // told elsewhere
	}
	if path == c.dir {
		c.seen[resolved] = true // checkWritable tells of it
	}
	for dir := filepath.Dir(resolved); !c.seen[dir]; dir, open = filepath.Dir(dir), 0o002 {
		c.seen[dir] = true
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&open != 0 && info.Mode()&fs.ModeSticky == 0 {
			c.add(path, "others may replace it: they may write to "+text.Printable(dir)+" ("+info.Mode().Perm().String()+")", "chmod go-w "+text.ShellQuote(dir))
		}
	}
}

// checkWritable finds what users other than the owner may change: whoever can, decides what the container
// runs and with which secrets. The sticky bit, as on /tmp, does not help: new names can be added.
func (c *checker) checkWritable(path string, info fs.FileInfo) {
	if info.Mode().Perm()&0o022 != 0 {
		c.add(path, "others than its owner may write to it ("+info.Mode().Perm().String()+")", "chmod go-w "+text.ShellQuote(path))
	}
}

// searchPath is where env(1) looks for an interpreter.
func searchPath() string {
	if search, ok := os.LookupEnv("PATH"); ok {
		return search
	}
	return defaultPath
}
