package explain

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// Check finds what execve(2) would refuse in the file and its interpreter, which env(1) looks for in search, and
// tells each problem with its hint. It runs nothing.
func (f File) Check(search string, tell func(problem, hint string)) {
	if unix.Access(f.Path, unix.R_OK) == nil { // else the user that runs it may read it: nothing is known
		f.checkFormat(search, tell)
	}
	byInterpreter := f.Interpreted && interpreterOf(readHead(f.Path)) != ""
	switch {
	case byInterpreter:
	case isNoexec(f.Path):
		tell("lies on a file system that is mounted noexec", strings.TrimPrefix(f.Access(), onNoexec))
	case unix.Access(f.Path, unix.X_OK) != nil:
		tell("may not be executed by the user that asks", f.Access())
	}
}

func (f File) checkFormat(search string, tell func(problem, hint string)) {
	head := readHead(f.Path)
	interpreter := interpreterOf(head)
	switch {
	case strings.HasSuffix(strings.SplitN(string(head)+"\n", "\n", 2)[0], "\r") && bytes.HasPrefix(head, []byte("#!")):
		tell("its first line ends in CR LF, so its interpreter is not found", crlfHint(f.Path))
	case interpreter != "":
		f.checkInterpreter(interpreter, head, search, tell)
	case bytes.HasPrefix(head, []byte("\x7fELF")) && machineOf(head) == runtime.GOARCH:
	default:
		tell(f.formatOf(f.Path, head))
	}
}

// checkInterpreter looks for the program after #!, for its own interpreter, and for the one that env(1) is told to find.
func (f File) checkInterpreter(interpreter string, head []byte, search string, tell func(problem, hint string)) {
	name := "its interpreter " + text.Printable(interpreter)
	info, err := os.Stat(interpreter)
	switch {
	case !exists(interpreter):
		tell(name+" does not exist", missingHint)
		return
	case err != nil || info.IsDir() || info.Mode()&0o111 == 0:
		tell(name+" cannot be executed", interpreterHint)
		return
	case isNoexec(interpreter):
		tell(name+" lies on a file system that is mounted noexec", interpreterHint)
		return
	}
	images := f.images()
	for i, p := range images {
		if i > 1 && !exists(p.path) {
			tell(missingInterpreter(images[i-1], p.path))
		}
	}
	if filepath.Base(interpreter) != "env" {
		return
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if len(words) < 2 || strings.HasPrefix(words[1], "-") || strings.Contains(words[1], "=") {
		return
	}
	if !inPath(words[1], search) {
		tell("its interpreter "+text.Printable(words[1])+" is not in PATH", missingHint)
	}
}

func inPath(name, search string) bool {
	for _, dir := range filepath.SplitList(search) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}
