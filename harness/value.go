package harness

import (
	"bytes"
	"fmt"
)

const (
	// maxEntry is the most bytes that execve(2) takes for one NAME=VALUE: MAX_ARG_STRLEN, 32 pages of 4 KiB,
	// less the NUL that ends it.
	maxEntry = 32*4096 - 1
)

// valueOf applies the rules that make output a value: trailing newlines go, as in $(…), everything else
// stays; a NUL, and more than execve(2) takes, is refused.
func valueOf(name string, output []byte) (string, *Error) {
	output = trimmed(output)
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

// trimmed is output without trailing newlines.
func trimmed(output []byte) []byte { return bytes.TrimRight(output, "\n") }

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
