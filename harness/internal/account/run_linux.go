package account

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/failure"
)

// assume changes the credentials of the calling thread alone, groups first, while it still may, and checks that
// they are then what was asked for. A thread that has them already needs no privilege; it may lack supplementary
// groups, which only a privileged one can take.
func (u *Account) assume() error {
	err := u.change()
	if is, checkErr := u.isCurrent(); checkErr != nil || !is && err == nil {
		return u.failed(errors.Join(checkErr, errors.New("the kernel did not change to it")))
	} else if is && (err == nil || errors.Is(err, syscall.EPERM)) {
		return nil
	}
	return u.failed(err)
}

// change asks the kernel for the user's credentials.
func (u *Account) change() error {
	groups := append(make([]uint32, 0, len(u.Groups)+1), u.Groups...)
	list := unsafe.Pointer(unsafe.SliceData(groups[:cap(groups)]))
	_, _, errno := syscall.RawSyscall(sysSetgroups, uintptr(len(groups)), uintptr(list), 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(sysSetresgid, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(sysSetresuid, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// isCurrent tells whether the calling thread is this user, with no group that it should not have.
func (u *Account) isCurrent() (bool, error) {
	ruid, euid, suid := unix.Getresuid()
	rgid, egid, sgid := unix.Getresgid()
	groups, err := unix.Getgroups()
	if err != nil {
		return false, err
	}
	users := []int{ruid, euid, suid}
	own := []int{rgid, egid, sgid}
	return !slices.ContainsFunc(users, func(id int) bool { return uint32(id) != u.UID }) &&
		!slices.ContainsFunc(own, func(id int) bool { return uint32(id) != u.GID }) &&
		!slices.ContainsFunc(groups, func(id int) bool { return uint32(id) != u.GID && !slices.Contains(u.Groups, uint32(id)) }), nil
}

func (u *Account) failed(err error) error {
	hint := "only root, or a process with CAP_SETUID and CAP_SETGID, can"
	switch {
	case errors.Is(err, syscall.EPERM) && uint32(os.Geteuid()) == u.UID:
		hint = "it is that user already, with other groups (docker run --group-add, a pod's fsGroup): leave --user out, or start as root"
	case errors.Is(err, syscall.EINVAL):
		hint = "this user namespace may have no such user or group: see /proc/self/uid_map and gid_map"
	}
	return &failure.Error{Subject: "--user", Problem: "cannot become that user: " + err.Error(), Next: hint, Err: err}
}

// Run calls f on a thread whose credentials are the account's, so that the kernel itself judges what it may do, and
// so that what f starts is the account's. The thread is never used again; the process's other threads keep their
// credentials. A nil account is the process's own.
func (u *Account) Run(f func() error) error {
	if u == nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := u.assume(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// Word is the account as a word for Parse, empty for nil.
func (u *Account) Word() string {
	if u == nil {
		return ""
	}
	ids := make([]string, 0, len(u.Groups)+2)
	for _, id := range append([]uint32{u.UID, u.GID}, u.Groups...) {
		ids = append(ids, strconv.FormatUint(uint64(id), 10))
	}
	return strings.Join(ids, ",")
}

// Parse reads what Word wrote.
func Parse(word string) (*Account, error) {
	if word == "" {
		return nil, nil
	}
	var ids []uint32
	for one := range strings.SplitSeq(word, ",") {
		id, err := strconv.ParseUint(one, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no ID", one)
		}
		ids = append(ids, uint32(id))
	}
	if len(ids) < 2 {
		return nil, fmt.Errorf("%q has no group", word)
	}
	u := new(Account)
	u.UID, u.GID, u.Groups = ids[0], ids[1], ids[2:]
	return u, nil
}
