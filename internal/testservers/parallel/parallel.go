// Package parallel runs the tests of packages that mostly wait.
package parallel

import (
	"flag"
	"runtime"
	"strconv"
	"testing"
)

// Tests are those of a package that mostly wait for processes, TTLs and servers: more of them run at once than there
// are processors, unless -parallel says how many.
type Tests struct{ *testing.M }

// Run runs them and gives the exit code.
func (t Tests) Run() int {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	}
	return t.M.Run()
}
