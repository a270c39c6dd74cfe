// Package explain says why the kernel does not execute a file, and what to do about it.
package explain

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

// Exec says why execve(2) refused a file with err, which its bare error does not: "no such file or directory" means
// a missing interpreter more often than a missing file. hint is the next step, or empty.
func Exec(path string, argv, env []string, err error) (problem, hint string) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error(), ""
	}
	switch errno {
	case syscall.ENOENT:
		return missing(path)
	case syscall.ENOEXEC:
		return format(path)
	case syscall.EACCES, syscall.EPERM:
		return text.Reason(err), Access(path)
	case syscall.ETXTBSY:
		return "it is still open for writing (waited " + child.BusyFor.String() + ")", "finish writing it, then rename it into place"
	case syscall.E2BIG:
		return tooLarge(argv, env), "put large data into files and let the variables name the files"
	case syscall.EAGAIN, syscall.ENOMEM:
		return text.Reason(err), "raise the limit of processes or memory (docker run --pids-limit, --memory)"
	}
	return text.Reason(err), ""
}

func missing(path string) (problem, hint string) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "no such file", "is it spelled so, and in this image?"
	}
	head := readHead(path)
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		return "its program loader " + text.Printable(loaderOf(path)) + " is not in this image", "it is linked against another C library: use a static build, or add that library"
	}
	if interpreter := interpreterOf(head); strings.HasSuffix(interpreter, "\r") {
		return "its first line ends in CR LF, so the interpreter's name has a carriage return at its end", crlfHint(path)
	} else if interpreter != "" {
		return "its interpreter " + text.Printable(interpreter) + " does not exist", "install the interpreter in this image, or name another after #!"
	}
	return "no such file or directory", ""
}

func crlfHint(path string) string {
	return "save it with Unix line ends: sed -i 's/\\r$//' " + text.ShellQuote(path)
}

// interpreterOf is the word after #! in the first bytes of a script, or empty. A carriage return stays: the
// kernel takes it for a part of the name.
func interpreterOf(head []byte) string {
	line, found := bytes.CutPrefix(head, []byte("#!"))
	if !found {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		line = line[:i]
	}
	return string(line)
}

func format(path string) (problem, hint string) {
	head := readHead(path)
	switch {
	case len(head) == 0:
		return "it is empty", "write a program into it, or chmod -x it to have its content as the value"
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "it is built for another machine (" + machineOf(head) + ", this is " + runtime.GOARCH + ")", "use a build for " + runtime.GOARCH
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return "a byte order mark stands before #!", "save it as UTF-8 without BOM"
	case bytes.HasPrefix(head, []byte("#!")):
		return "its first line names no interpreter that can run", "begin it with #!/bin/sh"
	}
	return "it has no #! line and is no program", "begin it with #!/bin/sh, or chmod -x it to have its content as the value; on a mount where every file is executable, --executable content does that"
}

// Access is the next step for a file that has an execute bit and still may not be executed.
func Access(path string) string {
	if isNoexec(path) {
		return "it lies on a file system that is mounted noexec: mount it without noexec, or copy it elsewhere"
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&0o111 == 0 {
		return "chmod +x " + text.ShellQuote(path)
	}
	if interpreter := interpreterOf(readHead(path)); interpreter != "" && unix.Access(interpreter, unix.X_OK) != nil {
		return "its interpreter " + text.Printable(interpreter) + " may not be executed: check its permissions"
	}
	return "the user that runs it needs execute permission for it and search permission for every directory above"
}

// readHead is the beginning of a file: what execve(2) looks at. It is empty when it cannot be read.
func readHead(path string) []byte {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer file.Close()
	head, _ := io.ReadAll(io.LimitReader(file, 256))
	return head
}

// tooLarge names the variables that make an environment too large for execve(2), by size, never by value.
func tooLarge(argv, env []string) string {
	const named = 5
	total := 0
	for _, text := range slices.Concat(argv, env) {
		total += len(text) + 1
	}
	bySize := slices.Clone(env)
	sort.Slice(bySize, func(i, j int) bool { return len(bySize[i]) > len(bySize[j]) })
	var largest []string
	for _, entry := range bySize[:min(named, len(bySize))] {
		name, _, _ := strings.Cut(entry, "=")
		largest = append(largest, text.Printable(name)+" "+sizeText(len(entry)))
	}
	return "arguments and environment of " + sizeText(total) + " are more than the kernel takes; the largest variables are " + strings.Join(largest, ", ")
}

// sizeText is a number of bytes for people.
func sizeText(n int) string {
	if n < 1<<10 {
		return strconv.Itoa(n) + " bytes"
	}
	return strconv.Itoa(n>>10) + " KiB"
}
