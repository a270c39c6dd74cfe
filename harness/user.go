package harness

import (
	"errors"
	"os"
	"strings"

	"github.com/moby/sys/user"
)

// commandUser is whom COMMAND runs as.
type commandUser struct {
	UID, GID int
	Groups   []int
	Home     string
}

// lookUpUser finds USER[:GROUP] in /etc/passwd and /etc/group as docker run --user and gosu(1) do: names or
// numbers, a number needs no entry; without a group the user's own one and the supplementary ones.
func lookUpUser(spec string) (*commandUser, error) {
	passwd, group := user.GetPasswdPath, user.GetGroupPath
	passwdPath, _ := passwd()
	groupPath, _ := group()
	defaults := &user.ExecUser{Uid: os.Getuid(), Gid: os.Getgid(), Home: "/"}
	found, err := user.GetExecUserPath(spec, defaults, passwdPath, groupPath)
	if err != nil {
		return nil, &Error{Subject: "--user " + spec, Problem: userProblem(err), Next: userHint(spec), Err: err}
	}
	return &commandUser{UID: found.Uid, GID: found.Gid, Groups: found.Sgids, Home: found.Home}, nil
}

func userProblem(err error) string {
	switch {
	case errors.Is(err, user.ErrNoPasswdEntries):
		return "no such user in /etc/passwd"
	case errors.Is(err, user.ErrNoGroupEntries):
		return "no such group in /etc/group"
	case errors.Is(err, user.ErrRange):
		return "the number is out of range"
	}
	return err.Error()
}

func userHint(spec string) string {
	name, _, _ := strings.Cut(spec, ":")
	if name == "" {
		return "write USER or USER:GROUP, by name or number"
	}
	return "add it to the image (adduser), or give its number"
}
