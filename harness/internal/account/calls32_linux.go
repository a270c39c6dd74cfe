//go:build 386 || arm

package account

import "syscall"

// The calls that take IDs of 32 bits: those with the short names cut them to 16 here.
const (
	sysSetgroups = syscall.SYS_SETGROUPS32
	sysSetresgid = syscall.SYS_SETRESGID32
	sysSetresuid = syscall.SYS_SETRESUID32
)
