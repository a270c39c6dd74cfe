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

// File is a file that execve(2) was, or will be, asked to execute.
type File struct {
	Path        string
	Entry       bool // it is of a directory of entries, or prepares COMMAND, so that the harness can run scripts by their interpreters
	Interpreted bool // it does
	Value       bool // its content could be a value instead
}

// Exec says why execve(2) refused the file with err, which its bare error does not: "no such file or directory" means
// a missing interpreter more often than a missing file. hint is the next step, or empty.
func (f File) Exec(argv, env []string, err error) (problem, hint string) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error(), ""
	}
	switch errno {
	case syscall.ENOENT:
		return f.missing()
	case syscall.ENOEXEC:
		return f.format()
	case syscall.EACCES, syscall.EPERM:
		return text.Reason(err), f.Access()
	case syscall.ELOOP:
		return "its interpreters are scripts that lead to each other, or links that do", interpreterHint
	case syscall.ETXTBSY:
		return "it is still open for writing (waited " + child.BusyFor.String() + ")", "finish writing it, then rename it into place"
	case syscall.E2BIG:
		return tooLarge(argv, env), "put large data into files and let the variables name the files"
	case syscall.EAGAIN, syscall.ENOMEM:
		return text.Reason(err), "raise the limit of processes or memory (docker run --pids-limit, --memory)"
	}
	return text.Reason(err), ""
}

const (
	interpreterHint = "name a program after #!"
	missingHint     = "install the interpreter in this image, or name another after #!"
)

// image is one of the files that the kernel opens to execute one.
type image struct {
	path  string
	whose string // "its interpreter PATH: ", or nothing for the file itself
	head  []byte
}

// images are the file and, where it is a script, its interpreter, which may be a script in its turn. The kernel
// follows so many, and all but the last exist.
func (f File) images() []image {
	const followed = 5
	var list []image
	for path, whose := f.Path, ""; path != "" && len(list) <= followed; {
		p := image{path, whose, readHead(path)}
		list = append(list, p)
		path = interpreterOf(p.head)
		whose = "its interpreter " + text.Printable(path) + ": "
	}
	return list
}

func (f File) missing() (problem, hint string) {
	if !exists(f.Path) {
		return "no such file", "is it spelled so, and in this image?"
	}
	images := f.images()
	for i, p := range images {
		if i > 0 && !exists(p.path) {
			return missingInterpreter(images[i-1], p.path)
		}
	}
	last := images[len(images)-1]
	if bytes.HasPrefix(last.head, []byte("\x7fELF")) {
		return last.whose + "its program loader " + text.Printable(loaderOf(last.path)) + " is not in this image", "it is linked against another C library: use a static build, or add that library"
	}
	return "no such file or directory", ""
}

func missingInterpreter(p image, interpreter string) (problem, hint string) {
	if strings.HasSuffix(interpreter, "\r") {
		return p.whose + "its first line ends in CR LF, so the interpreter's name has a carriage return at its end", crlfHint(p.path)
	}
	return p.whose + "its interpreter " + text.Printable(interpreter) + " does not exist", missingHint
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
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

func (f File) format() (problem, hint string) {
	images := f.images()
	p := images[0]
	for _, next := range images[1:] {
		if info, err := os.Stat(next.path); err != nil || !info.Mode().IsRegular() {
			break // no such name: the line is longer than the kernel reads
		}
		p = next
	}
	problem, hint = f.formatOf(p.path, p.head)
	return p.whose + problem, hint
}

func (f File) formatOf(path string, head []byte) (problem, hint string) {
	value := func(hint, or string) string {
		if f.Value && path == f.Path {
			return hint + or
		}
		return hint
	}
	switch {
	case len(head) == 0:
		return "it is empty", value("write a program into it", ", or chmod -x it to have its content as the value")
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "it is built for another machine (" + machineOf(head) + ", this is " + runtime.GOARCH + ")", "use a build for " + runtime.GOARCH
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return "a byte order mark stands before #!", "save it as UTF-8 without BOM"
	case bytes.HasPrefix(head, []byte("#!")):
		return "its first line names no interpreter that can run", "begin it with #!/bin/sh"
	}
	return "it has no #! line and is no program", value("begin it with #!/bin/sh", ", or chmod -x it to have its content as the value; on a mount where every file is executable, --executable content does that")
}

// Access is the next step for a file that may not be executed.
func (f File) Access() string {
	for i, p := range f.images() {
		switch info, err := os.Stat(p.path); {
		case i == 0 && f.Interpreted && len(interpreterOf(p.head)) > 0:
		case isNoexec(p.path):
			return f.noexecHint(p)
		case i == 0 && err == nil && info.Mode()&0o111 == 0:
			return "chmod +x " + text.ShellQuote(p.path)
		case i > 0 && err == nil && info.IsDir():
			return "its interpreter " + text.Printable(p.path) + " is a directory: " + interpreterHint
		case i > 0 && unix.Access(p.path, unix.X_OK) != nil:
			return "its interpreter " + text.Printable(p.path) + " may not be executed: check its permissions"
		}
	}
	return "the user that runs it needs execute permission for it and search permission for every directory above"
}

// noexecHint is the next step for what lies on a file system that is mounted noexec: a script among entries needs no
// more than its interpreter.
func (f File) noexecHint(p image) string {
	switch {
	case p.path != f.Path:
		return "its interpreter " + text.Printable(p.path) + " lies on a file system that is mounted noexec: name another after #!"
	case f.Entry && interpreterOf(p.head) != "":
		return onNoexec + "--executable content has scripts run by their interpreters"
	}
	return onNoexec + "mount it without noexec, or copy it elsewhere"
}

const onNoexec = "it lies on a file system that is mounted noexec: "

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
