package harness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/account"
	"github.com/envharness/envharness/internal/text"
)

// commandUser is whom COMMAND runs as.
type commandUser struct{ account.Account }

// lookUpUser finds USER[:GROUP] in /etc/passwd and /etc/group.
func lookUpUser(spec string) (*commandUser, error) {
	var files account.Files
	var err error
	if files.Passwd, err = readAccounts(account.PasswdFile); err != nil {
		return nil, err
	}
	if files.Group, err = readAccounts(account.GroupFile); err != nil {
		return nil, err
	}
	current := account.Account{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Home: "/"}
	found, err := files.Find(spec, current)
	if err != nil {
		return nil, &Error{Subject: "--user " + spec, Problem: err.Error(), Next: userHint(spec, err), Err: err}
	}
	return &commandUser{found}, nil
}

func userHint(spec string, err error) string {
	name, _, _ := strings.Cut(spec, ":")
	switch missing := new(account.NotFoundError); {
	case name == "":
		return "write USER or USER:GROUP, by name or number"
	case !errors.As(err, &missing):
		return "mend that line, or give numbers: --user UID:GID"
	}
	return "add it to the image (adduser), or give its number"
}

// mostAccounts bounds what is read of /etc/passwd and /etc/group.
const mostAccounts = 64 << 20

// readAccounts reads a file of accounts. An image need not have one.
func readAccounts(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", &Error{Subject: path, Problem: "cannot be read for --user: " + text.Reason(err), Err: err}
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, mostAccounts+1))
	if err == nil && len(content) > mostAccounts {
		err = fmt.Errorf("it is over %d bytes", mostAccounts)
	}
	if err != nil {
		return "", &Error{Subject: path, Problem: "cannot be read for --user: " + text.Reason(err), Err: err}
	}
	return string(content), nil
}
