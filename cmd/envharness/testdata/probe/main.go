//go:build linux

// Command probe is what the tests of --init run as COMMAND and as executables, where a shell is too slow, too
// coarse or not there: it logs every signal, makes orphans by the thousand, and speaks the notify protocol.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: probe watch|orphans|scatter|push|notify ...")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "watch":
		watch(args)
	case "orphans":
		orphans(args)
	case "push":
		push(args)
	case "notify":
		notify(strings.Join(args, " "))
	case "scatter":
		scatter(args)
	default:
		fail("unknown: " + os.Args[1])
	}
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(problem string) {
	fmt.Fprintln(os.Stderr, "probe:", problem)
	os.Exit(99)
}
