package harness

import (
	"bytes"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/order"
	"github.com/envharness/envharness/internal/text"
)

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

func notExecutable(e entry) error {
	failed := &Error{Subject: e.path, Problem: "is a program without execute permission", Next: "chmod +x " + text.ShellQuote(e.path)}
	if isMounted(e) {
		failed.Next = "give the volume defaultMode: 0755, or tell executables by their first bytes with --executable content"
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
// rest of the line as one word if there is any, and the script. It is nil for what is no script.
func interpreted(path string) []string {
	const line = 256 // BINPRM_BUF_SIZE
	rest, script := strings.CutPrefix(string(readHead(path, line)), "#!")
	if !script {
		return nil
	}
	rest, _, _ = strings.Cut(rest, "\n")
	rest = strings.Trim(rest, " \t")
	interpreter, argument := rest, ""
	if i := strings.IndexAny(rest, " \t"); i >= 0 {
		interpreter, argument = rest[:i], strings.TrimLeft(rest[i:], " \t")
	}
	switch {
	case interpreter == "":
		return nil
	case argument == "":
		return []string{interpreter, path}
	}
	return []string{interpreter, argument, path}
}
