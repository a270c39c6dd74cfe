package testservers

import "syscall"

// dieWithParent ends a server when the test binary is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
