package harness

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/internal/text"
)

// Finding is one thing that would go wrong, or that somebody could make go wrong.
type Finding struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

// Check looks at a directory and runs nothing. It finds what the rules for entries refuse, programs whose
// interpreter is missing or that were saved with CR LF, values with CR LF or a byte order mark, files and directories
// that others may write to or replace, and files that are too large to be a value.
//
// export says whether dir is one of /export, whose rules differ.
func Check(o Options, dir string, export bool) []Finding {
	c := checker{startup: atRest(o), dir: dir, export: export, seen: map[string]bool{}}
	c.checkReplaceable(dir, 0o002)
	read := c.startup.readEnvironment
	switch {
	case export:
		read = func(dir string) (listing, error) { return readDirectory(dir, entryRules, c.startup.Log) }
	case slices.Contains(o.Secrets, dir):
		read = c.startup.readSecrets
	}
	l, err := read(dir)
	if err != nil {
		c.addError(err)
	}
	if info, err := os.Stat(dir); err == nil {
		c.checkWritable(dir, info)
		if uid := strangerOf(info); uid > 0 {
			c.add(dir, "belongs to user "+strconv.Itoa(uid)+", who may put there what root runs", "chown root "+text.ShellQuote(dir))
		}
	}
	c.findings = append(c.findings, l.special...)
	for _, e := range l.entries {
		c.checkEntry(e)
	}
	return c.findings
}

// CheckOrder gives the names of the executables of all environment directories in the order in which they run, and a
// finding for each cycle of mentions. It runs nothing.
func CheckOrder(o Options, dirs []string) (names []string, cycles []Finding) {
	o.Environment = dirs
	s := atRest(o)
	var executables []entry
	for _, e := range s.readEntries() {
		if e.executable {
			executables = append(executables, e)
		}
	}
	q := s.queue(executables, func(cycle []int) {
		cycles = append(cycles, Finding{
			Path:    executables[cycle[0]].path,
			Problem: namesOfCycle(executables, cycle) + ": they mention each other, so they run in byte order",
			Hint:    "let one of them do without the other; a comment counts, too",
		})
	})
	for i, ok := q.Next(); ok; i, ok = q.Next() {
		names = append(names, executables[i].name)
	}
	return names, cycles
}

// atRest is a start-up that looks at entries and runs nothing.
func atRest(o Options) *startup {
	h := &Harness{Options: o, Log: slog.New(slog.DiscardHandler)}
	return &startup{shared: &shared{Harness: h}, decisions: newDecisions(environ.New(os.Environ()))}
}

type checker struct {
	*startup
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
	if c.export {
		e.executable, e.err = c.isExecutable(e)
		if e.err == nil && !e.executable {
			e.err = notAnExport(e)
		}
	}
	if e.err != nil {
		c.addError(e.err)
		return
	}
	if info, err := os.Stat(e.at); err == nil {
		c.checkWritable(e.path, info)
		if uid := strangerOf(info); uid > 0 && e.executable {
			c.add(e.path, "belongs to user "+strconv.Itoa(uid)+", who so decides what root runs", "chown root "+text.ShellQuote(e.path))
		}
	}
	if e.executable {
		c.checkReplaceable(e.path, 0o022)
		c.explained(e, e.at, c.export).Check(searchPath(), func(problem, hint string) { c.add(e.path, problem, hint) })
		return
	}
	var v evaluation
	if c.take(e, e.content, c.env, &v); v.err != nil {
		c.addError(v.err)
	} else if problem, hint := oddity(e); problem != "" {
		c.add(e.path, problem, hint)
	}
}

// checkReplaceable finds the directories on the way to a path in which others may put something else in its place.
// Of the one that holds it the mode's bits in open are looked at, of those above that everybody may write to them.
// The sticky bit prevents it. A directory is reported once.
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
		if err == nil && open == 0o022 && strangerOf(info) > 0 {
			c.add(path, "its owner may replace it: "+text.Printable(dir)+" belongs to user "+strconv.Itoa(strangerOf(info)), "chown root "+text.ShellQuote(dir))
		}
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

// strangerOf is the user whom a file belongs to where root asks, and who is not root; else 0. Root runs what such a
// user may change at any time.
func strangerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return int(stat.Uid)
	}
	return 0
}

// searchPath is where env(1) looks for an interpreter.
func searchPath() string {
	if search, ok := os.LookupEnv("PATH"); ok {
		return search
	}
	return defaultPath
}

// Difference is a name that one of two environments has and the other lacks.
type Difference struct {
	Name    string `json:"name"`
	In      string `json:"in"`      // the directory that has it
	Lacking string `json:"lacking"` // the one that does not
}

// Diff compares the names of two environment directories, in byte order of names. It runs nothing and
// compares no values: those are meant to differ. Of a set that is executable the file's name counts, of another the
// names in it.
func Diff(o Options, a, b string) ([]Difference, error) {
	first, err := namesOf(o, a)
	if err != nil {
		return nil, err
	}
	second, err := namesOf(o, b)
	if err != nil {
		return nil, err
	}
	var differences []Difference
	for len(first) > 0 || len(second) > 0 {
		switch {
		case len(second) == 0 || len(first) > 0 && first[0] < second[0]:
			differences = append(differences, Difference{Name: first[0], In: a, Lacking: b})
			first = first[1:]
		case len(first) == 0 || second[0] < first[0]:
			differences = append(differences, Difference{Name: second[0], In: b, Lacking: a})
			second = second[1:]
		default:
			first, second = first[1:], second[1:]
		}
	}
	return differences, nil
}

func namesOf(o Options, dir string) ([]string, error) {
	if err := mustExist(dir); err != nil {
		return nil, err
	}
	s := atRest(o)
	l, err := s.readEnvironment(dir)
	names := map[string]bool{}
	for _, e := range l.entries {
		if !e.isSet() || e.executable {
			names[e.name] = true
			continue
		}
		var v evaluation
		if s.find(e, s.env, &v); v.err != nil {
			return nil, v.err
		}
		for name := range v.names {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), err
}
