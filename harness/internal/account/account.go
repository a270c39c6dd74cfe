// Package account finds the user and the groups that a name or a number stands for, in the text of passwd(5) and
// group(5), and refuses what a reader could take for somebody else: an empty user ID is nobody's, not root's.
package account

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Account is whom a process is to run as.
type Account struct {
	UID, GID uint32
	Groups   []uint32 // the supplementary ones, each once
	Home     string   // never empty
}

// Files are the texts of /etc/passwd and /etc/group; one that is missing is empty.
type Files struct{ Passwd, Group string }

// NotFoundError says that a name is in no line of a file.
type NotFoundError struct{ Kind, File string }

func (e *NotFoundError) Error() string { return "no such " + e.Kind + " in " + e.File }

// TooLargeError says that a number is more than an ID can be.
type TooLargeError struct{ Kind string }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the %s ID is over %d", e.Kind, uint32(highest))
}

// The files, as errors name them.
const (
	PasswdFile = "/etc/passwd"
	GroupFile  = "/etc/group"
)

// highest is the highest ID that there is. The one above it means "no change" to setresuid(2), and is refused.
const highest = 1<<32 - 2

// Find finds USER[:GROUP] as docker run --user and gosu(1) do. A number needs no entry. Without USER it is the
// current user, without GROUP the user's own group and all that list the user; a number without an entry keeps the
// current group.
//
// The first line that has the name counts. Lines of others may be malformed; one that this account depends on may
// not, and the error names its file and number and what is wrong with it, as id(1) and setpriv(1) refuse it.
func (f Files) Find(spec string, current Account) (Account, error) {
	user, group, _ := strings.Cut(spec, ":")
	if user == "" {
		return Account{}, errors.New("it names no user, as when a variable in it is empty")
	}
	found, name, err := f.user(user, current)
	switch {
	case err != nil:
		return Account{}, err
	case group != "":
		found.GID, err = f.group(group)
	case name != "":
		found.Groups, err = f.groupsOf(name)
	}
	if err != nil {
		return Account{}, err
	}
	return found, nil
}

// user finds a user, and the name under which groups list them, which a number without an entry has not.
func (f Files) user(word string, current Account) (found Account, name string, err error) {
	uid, isNumber, err := number(word)
	if err != nil {
		return found, "", &TooLargeError{"user"}
	}
	for l := range lines(f.Passwd, PasswdFile) {
		if isNumber && !l.has(2, uid) || !isNumber && l.field(0) != word {
			continue
		}
		found, err = l.account()
		return found, l.field(0), err
	}
	if !isNumber {
		return found, "", &NotFoundError{Kind: "user", File: PasswdFile}
	}
	return Account{UID: uid, GID: current.GID, Home: "/"}, "", nil
}

// group finds a group's ID.
func (f Files) group(word string) (uint32, error) {
	gid, isNumber, err := number(word)
	if err != nil {
		return 0, &TooLargeError{"group"}
	}
	if isNumber {
		return gid, nil
	}
	for l := range lines(f.Group, GroupFile) {
		if l.field(0) == word {
			return l.id(2, "group ID")
		}
	}
	return 0, &NotFoundError{Kind: "group", File: GroupFile}
}

// groupsOf are the groups that list a user.
func (f Files) groupsOf(name string) (groups []uint32, err error) {
	for l := range lines(f.Group, GroupFile) {
		if !slices.Contains(strings.Split(l.field(3), ","), name) {
			continue
		}
		gid, err := l.id(2, "group ID")
		if err != nil {
			return nil, err
		}
		if !slices.Contains(groups, gid) {
			groups = append(groups, gid)
		}
	}
	return groups, nil
}

// line is one line of a file, in fields.
type line struct {
	file   string
	number int
	fields []string
}

// lines gives the lines that say something, as glibc reads them: blank ones and comments do not.
func lines(text, file string) func(func(line) bool) {
	return func(yield func(line) bool) {
		number := 0
		for one := range strings.Lines(text) {
			number++
			one = strings.TrimSpace(one)
			if one == "" || one[0] == '#' {
				continue
			}
			if !yield(line{file, number, strings.Split(one, ":")}) {
				return
			}
		}
	}
}

// field is a field's text, empty when there is none.
func (l line) field(i int) string {
	if i < len(l.fields) {
		return l.fields[i]
	}
	return ""
}

// has tells whether a field is this ID.
func (l line) has(i int, id uint32) bool {
	got, isNumber, err := number(l.field(i))
	return err == nil && isNumber && got == id
}

// id reads an ID, and says what is wrong with it.
func (l line) id(i int, what string) (uint32, error) {
	if l.field(i) == "" {
		return 0, fmt.Errorf("line %d of %s has no %s", l.number, l.file, what)
	}
	id, isNumber, err := number(l.field(i))
	if err != nil || !isNumber {
		return 0, fmt.Errorf("line %d of %s has a %s that is no number from 0 to %d", l.number, l.file, what, uint32(highest))
	}
	return id, nil
}

// account reads a line of passwd(5).
func (l line) account() (a Account, err error) {
	if a.UID, err = l.id(2, "user ID"); err != nil {
		return Account{}, err
	}
	if a.GID, err = l.id(3, "group ID"); err != nil {
		return Account{}, err
	}
	if a.Home = l.field(5); a.Home == "" {
		a.Home = "/"
	}
	return a, nil
}

// number reads an ID in decimal digits. Another word is none; digits that are too many are an error.
func number(word string) (id uint32, is bool, err error) {
	if word == "" || strings.Trim(word, "0123456789") != "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil || n > highest {
		return 0, true, fmt.Errorf("is over %d", uint32(highest))
	}
	return uint32(n), true, nil
}
