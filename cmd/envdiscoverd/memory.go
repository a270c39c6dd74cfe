package main

import (
	"fmt"
	"math"
	"runtime/debug"
)

// memoryLimit is Go's soft limit, unless GOMEMLIMIT sets another one. What is on its way to clients is bounded below
// it; large data need more, and get it.
const memoryLimit = 256 << 20

// limitMemory sets the limit and gives it as text.
func limitMemory() string {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		limit = memoryLimit
		debug.SetMemoryLimit(limit)
	}
	return fmt.Sprintf("%d MiB", limit>>20)
}
