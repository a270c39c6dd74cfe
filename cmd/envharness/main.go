// The harness waits and does not compute: looking through the cgroups for how many CPUs it may use is work for
// nothing at every start, and a buffer that stays.
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command envharness is a container's entrypoint: it learns the environment, announces the service, and then
// becomes the command.
package main

import (
	"os"

	"github.com/envharness/envharness/harness"
)

func main() {
	if code, is := stage(); is {
		os.Exit(code)
	}
	signals := harness.CatchSignals()
	os.Exit(run(os.Args[1:], signals))
}
