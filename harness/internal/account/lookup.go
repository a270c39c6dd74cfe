package account

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/failure"
	"github.com/envharness/envharness/internal/text"
)

// LookUp finds USER[:GROUP] in /etc/passwd and /etc/group, for --user. Nobody is in a file that is missing.
func LookUp(spec string) (*Account, error) {
	var files Files
	var err error
	if files.Passwd, err = readFile(PasswdFile); err != nil {
		return nil, err
	}
	if files.Group, err = readFile(GroupFile); err != nil {
		return nil, err
	}
	current := Account{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Home: "/"}
	found, err := files.Find(spec, current)
	if err != nil {
		return nil, &failure.Error{Subject: "--user " + spec, Problem: err.Error(), Next: userHint(spec, err), Err: err}
	}
	return &found, nil
}

func userHint(spec string, err error) string {
	name, _, _ := strings.Cut(spec, ":")
	switch missing, large := new(NotFoundError), new(TooLargeError); {
	case name == "":
		return "write USER or USER:GROUP, by name or number"
	case errors.As(err, &large):
		return fmt.Sprintf("give a number from 0 to %d, or a name", uint32(highest))
	case !errors.As(err, &missing):
		return "mend that line, or give numbers: --user UID:GID"
	}
	return "add it to the image (adduser), or give its number"
}

// mostBytes bounds what is read of /etc/passwd and /etc/group.
const mostBytes = 64 << 20

// readFile reads a file of accounts. An image need not have one.
func readFile(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", &failure.Error{Subject: path, Problem: "cannot be read for --user: " + text.Reason(err), Err: err}
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, mostBytes+1))
	if err == nil && len(content) > mostBytes {
		err = fmt.Errorf("it is over %d bytes", mostBytes)
	}
	if err != nil {
		return "", &failure.Error{Subject: path, Problem: "cannot be read for --user: " + text.Reason(err), Err: err}
	}
	return string(content), nil
}
