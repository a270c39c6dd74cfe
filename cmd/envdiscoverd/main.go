// Command envdiscoverd is the registry of one machine: it keeps values and announced services, for clients of
// etcd, for curl, and on a page for people.
package main

import "os"

// Set by the linker, see the Makefile.
var (
	version = "devel"
	commit  = "unknown"
)

func main() {
	os.Exit(run(os.Args[1:]))
}
