// Command discovery is the part of the benchmark that needs a program: it serves an etcd, and measures package
// discovery beside etcd's own client on it. bench/registry runs it.
//
//	discovery serve DIRECTORY            an etcd on a free port; its address on stdout
//	discovery measure ADDRESS ENVDISCOVER    lines of a table in Markdown
package main

import (
	"context"
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 3 && args[0] == "measure":
		return measure(context.Background(), args[1], args[2])
	}
	return fmt.Errorf("usage: discovery serve DIRECTORY | measure ADDRESS ENVDISCOVER")
}
