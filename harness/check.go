package harness

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/internal/text"
)

// Finding is one thing that would go wrong, or that somebody could make go wrong.
type Finding struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

// Check looks at directories and runs nothing. It finds what the rules for entries refuse, programs whose
// interpreter is missing or that were saved with CR LF, files and directories that others may write to, and
// files that are too large to be a value.
//
// export says whether dir is one of /export, whose rules differ.
func Check(dir string, export bool) []Finding {
	c := checker{export: export}
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
	export   bool
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
		c.checkProgram(e.path)
	case c.export:
		c.addError(notAnExport(e.path))
	default:
		c.checkPlain(e)
	}
}

func (c *checker) checkPlain(e entry) {
	if _, err := plainValue(e); err != nil {
		c.addError(err)
	}
}

// checkProgram finds what execve(2) would refuse.
func (c *checker) checkProgram(path string) {
	if unix.Access(path, unix.R_OK) != nil {
		return // the user that runs it may read it: nothing is known
	}
	head := readHead(path)
	interpreter := interpreterOf(head)
	switch {
	case strings.HasSuffix(strings.SplitN(string(head)+"\n", "\n", 2)[0], "\r") && bytes.HasPrefix(head, []byte("#!")):
		c.add(path, "its first line ends in CR LF, so its interpreter is not found", crlfHint(path))
	case interpreter != "":
		c.checkInterpreter(path, interpreter, head)
	case bytes.HasPrefix(head, []byte("\x7fELF")) && machineOf(head) == runtime.GOARCH:
	default:
		problem, hint := explainFormat(path)
		c.add(path, problem, hint)
	}
	if isNoexec(path) {
		c.add(path, "lies on a file system that is mounted noexec", explainAccess(path))
	}
}

// checkInterpreter looks for the program after #!, and for the one that env(1) is told to find.
func (c *checker) checkInterpreter(path, interpreter string, head []byte) {
	info, err := os.Stat(interpreter)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add(path, "its interpreter "+text.Printable(interpreter)+" does not exist", "install the interpreter in this image, or name another after #!")
		return
	case err != nil || info.IsDir() || info.Mode()&0o111 == 0:
		c.add(path, "its interpreter "+text.Printable(interpreter)+" cannot be executed", "name a program after #!")
		return
	}
	if filepath.Base(interpreter) != "env" {
		return
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if len(words) < 2 || strings.HasPrefix(words[1], "-") || strings.Contains(words[1], "=") {
		return
	}
	if !inPath(words[1]) {
		c.add(path, "its interpreter "+text.Printable(words[1])+" is not in PATH", "install the interpreter in this image, or name another after #!")
	}
}

func inPath(name string) bool {
	search, ok := os.LookupEnv("PATH")
	if !ok {
		search = defaultPath
	}
	for _, dir := range filepath.SplitList(search) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// checkWritable finds what users other than the owner may change: whoever can, decides what the container
// runs and with which secrets. The sticky bit, as on /tmp, does not help: new names can be added.
func (c *checker) checkWritable(path string, info fs.FileInfo) {
	if info.Mode().Perm()&0o022 != 0 {
		c.add(path, "others than its owner may write to it ("+info.Mode().Perm().String()+")", "chmod go-w "+text.ShellQuote(path))
	}
}
