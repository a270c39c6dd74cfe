//go:build linux && !386 && !arm

package account

import "syscall"

// The calls that take IDs of 32 bits.
const (
	sysSetgroups = syscall.SYS_SETGROUPS
	sysSetresgid = syscall.SYS_SETRESGID
	sysSetresuid = syscall.SYS_SETRESUID
)
