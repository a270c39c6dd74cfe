//go:build !linux

package main

import "syscall"

// dyingWithUs only gives the child its group.
func dyingWithUs(ownGroup bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: ownGroup} }
