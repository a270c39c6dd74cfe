//go:build linux

// Command floor is the least that a Go program in front of COMMAND can be: it becomes it.
//
//	floor COMMAND [ARGUMENT...]
package main

import (
	"os"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		_ = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	os.Exit(127)
}
