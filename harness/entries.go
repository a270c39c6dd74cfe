package harness

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/order"
	"github.com/envharness/envharness/internal/text"
	"github.com/envharness/envharness/internal/varname"
)

// entryKind is what an entry of an environment directory decides.
type entryKind int

const (
	aVariable entryKind = iota
	aDotenvSet
	aJSONSet
)

// The ranks of entries; what is inherited has none, and the sets are between these in byte order.
const (
	rankSecret   = 1
	rankVariable = math.MaxInt
)

// NamePolicy says what an entry name that is no variable's means.
type NamePolicy = varname.Policy

// The policies: an error, skipped, or mapped to a variable's name.
const (
	NamesStrict = varname.Strict
	NamesSkip   = varname.Skip
	NamesUpper  = varname.Upper
)

// isSet tells whether an entry gives many variables.
func (e entry) isSet() bool { return e.kind != aVariable }

func kindOf(name string) entryKind {
	switch filepath.Ext(name) {
	case ".env":
		return aDotenvSet
	case ".json":
		return aJSONSet
	}
	return aVariable
}

// readEntries gives what decides variables, weakest first: secrets, sets in byte order, variables in byte order. What
// need not run has been read.
func (s *startup) readEntries() []entry {
	entries := s.mergeDirectories(s.Secrets, s.readSecrets)
	for i := range entries {
		entries[i].rank = rankSecret
	}
	own := s.mergeDirectories(s.Environment, s.readEnvironment)
	for i, e := range own {
		if e.isSet() {
			e.rank = rankSecret + 1 + i
			entries = append(entries, e)
		}
	}
	for _, e := range own {
		if !e.isSet() {
			e.rank = rankVariable
			entries = append(entries, e)
		}
	}
	if s.PreferInherited {
		entries = slices.DeleteFunc(entries, func(e entry) bool { return !e.isSet() && s.isInherited(e.name) })
	}
	return entries
}

// mergeDirectories lists several directories as one: a later one's entry replaces the same name of an
// earlier one, and a later mask removes it. The order is the byte order of names.
func (s *startup) mergeDirectories(dirs []string, read func(dir string) (listing, error)) []entry {
	merged := map[string]entry{}
	for _, dir := range dirs {
		l, err := readSteadily(func() (listing, error) { return read(dir) })
		if err != nil {
			s.record(err)
		}
		for _, name := range l.masked {
			delete(merged, name)
		}
		for _, e := range l.entries {
			merged[e.name] = e
		}
	}
	entries := make([]entry, 0, len(merged))
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		entries = append(entries, merged[name])
	}
	return entries
}

// readSteadily reads a directory again when one of its files has gone because a new generation has come.
func readSteadily(read func() (listing, error)) (listing, error) {
	const tries = 10
	for try := 1; ; try++ {
		l, err := read()
		if try == tries || !slices.ContainsFunc(l.entries, func(e entry) bool { return e.err != nil && isStale(e) }) {
			return l, err
		}
	}
}

// readEnvironment lists a directory of /environment and reads what need not run.
func (s *startup) readEnvironment(dir string) (listing, error) {
	l, err := readDirectory(dir, entryRules, s.Log)
	l = s.withNames(l, s.Names, true)
	for i := range l.entries {
		s.readEntry(&l.entries[i])
	}
	return l, err
}

// readSecrets lists a directory of which nothing runs, and reads its files.
func (s *startup) readSecrets(dir string) (listing, error) {
	l, err := readDirectory(dir, secretRules, s.Log)
	l = s.withNames(l, NamesUpper, false)
	for i := range l.entries {
		e := &l.entries[i]
		if e.err == nil {
			_, e.err = inspect(*e)
		}
		if e.err == nil {
			e.content, e.err = readFile(*e, true)
		}
	}
	return l, err
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// withNames gives entries the names of the variables that they decide. Sets keep their own.
func (s *startup) withNames(l listing, policy NamePolicy, sets bool) listing {
	first := map[string]int{}
	named := l.entries[:0]
	for _, e := range l.entries {
		if e.kind = kindOf(e.name); sets && e.isSet() {
			named = append(named, e)
			continue
		}
		e.kind = aVariable
		name, ok := policy.Of(e.name)
		switch earlier, twice := first[name]; {
		case !ok && policy == NamesSkip:
			s.Log.Warn("skipped: its name cannot be a variable (--names skip)", "path", e.path)
			continue
		case !ok:
			e.err = nameError(e)
		case twice:
			named[earlier].err = sameName(name, named[earlier], e, !sets)
			continue
		}
		first[name] = len(named)
		e.name = name
		named = append(named, e)
	}
	l.entries = named
	for i, name := range l.masked {
		if kindOf(name) == aVariable || !sets {
			l.masked[i], _ = policy.Of(name)
		}
	}
	return l
}

// sameName refuses two entries of one directory that become one variable.
func sameName(name string, a, b entry, secret bool) error {
	next := "rename one of the two, or begin its name with a dot to have it skipped"
	if secret { // nobody renames in a mount
		next = "mount one of the two only, or under another name: items: of a Secret volume, target: of Compose's secrets"
	}
	return &Error{
		Subject: a.path,
		Problem: "becomes " + name + ", and so does " + text.Printable(filepath.Base(b.path)) + " beside it",
		Next:    next,
	}
}

// readEntry finds out whether an entry has to run, and reads one that has not.
func (s *startup) readEntry(e *entry) {
	if e.err != nil {
		return
	}
	e.executable, e.err = s.isExecutable(*e)
	if e.err == nil && !e.executable {
		e.content, e.err = readFile(*e, false)
	}
}

// ExecutablePolicy says what tells an executable.
type ExecutablePolicy string

// The policies: its mode, as for execve(2), or its first bytes, for mounts that have one mode for all files.
const (
	ExecutableMode    ExecutablePolicy = "mode"
	ExecutableContent ExecutablePolicy = "content"
)

// maxFile bounds what is read of a file, and of a set's output: more than execve(2) takes for all variables together.
const maxFile = 8 << 20

// isExecutable tells whether an entry is to be run.
func (s *startup) isExecutable(e entry) (bool, error) {
	byMode, err := inspect(e)
	if err != nil || s.Executable != ExecutableContent {
		return byMode, err
	}
	return looksLikeProgram(readHead(e.at, len("\x7fELF"))), nil
}

// readFile reads a file that need not run: its content is the value, as in envdir(8) and in mounted Secret volumes.
// Unless programs are wanted, one is refused: nobody wants its source as a value.
func readFile(e entry, programs bool) ([]byte, error) {
	// O_NONBLOCK: should the file have become a fifo since it was inspected, opening it does not hang.
	file, err := os.OpenFile(e.at, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &Error{Subject: e.path, Problem: "cannot read it: " + text.Reason(err), Next: "the harness's own user needs read permission", Err: err}
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return nil, &Error{Subject: e.path, Problem: "is a fifo, which may be read once, and a value is read as often as it is needed", Next: "write it to a file"}
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, &Error{Subject: e.path, Problem: "cannot read it: " + text.Reason(err), Err: err}
	case !programs && looksLikeProgram(content):
		return nil, notExecutable(e)
	}
	return content, nil
}

// looksLikeProgram tells whether content begins as a script or as an ELF image.
func looksLikeProgram(content []byte) bool {
	return isScript(content) || bytes.HasPrefix(content, []byte("\x7fELF"))
}

func isScript(content []byte) bool { return bytes.HasPrefix(content, []byte("#!")) }

// The hints for a file whose mode a mount decides.
const (
	modeHint   = "give the volume defaultMode: 0755"
	volumeHint = modeHint + ", or tell executables by their first bytes with --executable content"
)

func notExecutable(e entry) error {
	failed := &Error{Subject: e.path, Problem: "is a program without execute permission", Next: "chmod +x " + text.ShellQuote(e.path)}
	if isMounted(e) {
		failed.Next = volumeHint
	}
	return failed
}

// readHead is the beginning of a file, or nothing when it cannot be read.
func readHead(path string, size int) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	head := make([]byte, size)
	length := 0
	for length < size {
		n, err := unix.Read(fd, head[length:])
		if n <= 0 && err != unix.EINTR {
			break
		}
		length += max(n, 0)
	}
	return head[:length]
}

// readScript is as much of a script as is looked through for mentions, or nothing for what is none.
func readScript(e entry) []byte {
	const usual = 4 << 10 // most scripts are shorter, and fresh memory has its price
	head := readHead(e.at, usual)
	if len(head) == usual && isScript(head) {
		head = readHead(e.at, order.MaxScript)
	}
	if !isScript(head) {
		return nil
	}
	return head
}

// interpreted is how a script is run by its interpreter, as execve(2) itself does where it may: the interpreter, the
// rest of the line as one word if there is any, and the script. It is nil for what is no script, and for one whose first
// line names no interpreter, or a longer one than execve(2) reads.
func interpreted(path string) (argv []string, script bool) {
	const most = 256 // BINPRM_BUF_SIZE
	head := string(readHead(path, most))
	line, script := strings.CutPrefix(head, "#!")
	if !script {
		return nil, false
	}
	line, _, whole := strings.Cut(line, "\n")
	line = strings.TrimLeft(line, " \t")
	interpreter, argument := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		interpreter, argument = line[:i], strings.Trim(line[i:], " \t")
	} else if !whole && len(head) == most {
		return nil, true
	}
	switch {
	case interpreter == "":
		return nil, true
	case argument == "":
		return []string{interpreter, path}, true
	}
	return []string{interpreter, argument, path}, true
}
