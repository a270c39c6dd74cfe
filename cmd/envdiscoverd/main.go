// Command envdiscoverd is the registry of one machine: it keeps values and announced services, for clients of
// etcd, for curl, and on a page for people.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:]))
}
