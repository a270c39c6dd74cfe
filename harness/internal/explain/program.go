package explain

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// Program finds what execve(2) would refuse in a program and its interpreter, which env(1) looks for in search, and
// tells each problem with its hint. It runs nothing.
func Program(path, search string, tell func(problem, hint string)) {
	if unix.Access(path, unix.R_OK) != nil {
		return // the user that runs it may read it: nothing is known
	}
	head := readHead(path)
	interpreter := interpreterOf(head)
	switch {
	case strings.HasSuffix(strings.SplitN(string(head)+"\n", "\n", 2)[0], "\r") && bytes.HasPrefix(head, []byte("#!")):
		tell("its first line ends in CR LF, so its interpreter is not found", crlfHint(path))
	case interpreter != "":
		checkInterpreter(interpreter, head, search, tell)
	case bytes.HasPrefix(head, []byte("\x7fELF")) && machineOf(head) == runtime.GOARCH:
	default:
		problem, hint := format(path)
		tell(problem, hint)
	}
	if isNoexec(path) {
		tell("lies on a file system that is mounted noexec", Access(path))
	}
}

// checkInterpreter looks for the program after #!, and for the one that env(1) is told to find.
func checkInterpreter(interpreter string, head []byte, search string, tell func(problem, hint string)) {
	info, err := os.Stat(interpreter)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		tell("its interpreter "+text.Printable(interpreter)+" does not exist", "install the interpreter in this image, or name another after #!")
		return
	case err != nil || info.IsDir() || info.Mode()&0o111 == 0:
		tell("its interpreter "+text.Printable(interpreter)+" cannot be executed", "name a program after #!")
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
	if !inPath(words[1], search) {
		tell("its interpreter "+text.Printable(words[1])+" is not in PATH", "install the interpreter in this image, or name another after #!")
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
