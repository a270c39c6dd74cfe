package harness

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

const (
	// maxEntry is the most bytes that execve(2) takes for one NAME=VALUE: MAX_ARG_STRLEN, 32 pages of 4 KiB,
	// less the NUL that ends it.
	maxEntry = 32*4096 - 1
)

// valueOf applies the rules that make output a value: trailing newlines go, as in $(…), everything else
// stays; a NUL, and more than execve(2) takes, is refused.
func valueOf(name string, output []byte) (string, error) {
	output = bytes.TrimRight(output, "\n")
	if i := bytes.IndexByte(output, 0); i >= 0 {
		return "", &Error{
			Subject: name,
			Problem: nulProblem(i),
			Next:    nulHint,
		}
	}
	if err := fits(name, string(output)); err != nil {
		return "", err
	}
	return string(output), nil
}

func nulProblem(offset int) string {
	return fmt.Sprintf("its value has a NUL byte at offset %d: no environment variable can hold one", offset)
}

const nulHint = "make it text, for instance the base64 of binary data"

// fits checks that execve(2) takes name and value as one entry.
func fits(name, value string) *Error {
	size := len(name) + 1 + len(value)
	if size <= maxEntry {
		return nil
	}
	return &Error{
		Subject: name,
		Problem: fmt.Sprintf("its value makes an entry of %d bytes: the kernel takes %d for one variable", size, maxEntry),
		Next:    "put the data into a file and let the variable name the file",
	}
}

// readPlain reads a file that is not executable: its content is the value, as in envdir(8) and in mounted
// Secret volumes. A program that lacks its execute bit is refused: nobody wants its source as a value.
func readPlain(path string) ([]byte, error) {
	// O_NONBLOCK: should the file have become a fifo since it was inspected, opening it does not hang.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &Error{Subject: path, Problem: "cannot read it: " + text.Reason(err), Next: "the harness's own user needs read permission", Err: err}
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, child.MaxOutput+1))
	if err != nil {
		return nil, &Error{Subject: path, Problem: "cannot read it: " + text.Reason(err), Err: err}
	}
	if looksLikeProgram(content) {
		return nil, notExecutable(path)
	}
	return content, nil
}

// looksLikeProgram tells whether content begins as a script or as an ELF image.
func looksLikeProgram(content []byte) bool {
	return bytes.HasPrefix(content, []byte("#!")) || bytes.HasPrefix(content, []byte("\x7fELF"))
}

func notExecutable(path string) error {
	return &Error{Subject: path, Problem: "is a program without execute permission", Next: "chmod +x " + text.ShellQuote(path)}
}
