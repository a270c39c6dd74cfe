package testservers

import (
	"flag"
	"runtime"
	"strconv"
)

// ManyAtOnce, called in TestMain, lets more tests run in parallel than there are processors, unless -parallel says how
// many: those with servers wait most of the time.
func ManyAtOnce() {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	}
}
