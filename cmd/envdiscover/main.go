// Command envdiscover is the client of scripts and people: it reads and writes values, announces a service, finds
// one, and follows both. As the interpreter of a two-line file it is an executable of /export or /environment
// in an image that has no shell.
package main

import (
	"os"
)

func main() {
	os.Exit(newProgram().run(os.Args[1:]))
}
