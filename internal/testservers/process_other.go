//go:build !linux

package testservers

import "syscall"

// dieWithParent does nothing: only Linux can.
func dieWithParent(*syscall.SysProcAttr) {}

// ended does not know.
func ended(pid int) bool { return false }
