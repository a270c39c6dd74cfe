package main

import "syscall"

// dyingWithUs makes the kernel kill the child when this process ends in any way: what it held is then another's soon.
func dyingWithUs(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup, Pdeathsig: syscall.SIGKILL}
}
