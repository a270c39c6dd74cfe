// Package threads makes the threads that the harness needs beside COMMAND before it needs them.
package threads

import (
	"runtime"
	"sync"
)

// ahead are those that every harness needs beside COMMAND: for its loop, the reaper, the signals, the control socket, a
// withdrawal, a message that stderr does not take, two that Go's runtime keeps for itself, and four to spare: one too
// few ends PID 1, one too many is 33 KiB.
const ahead = 12

// Limit keeps Go from wanting as many threads as the machine has processors: the harness waits.
func Limit() { runtime.GOMAXPROCS(min(2, runtime.GOMAXPROCS(0))) }

// Make makes the threads that the harness will need, n of them beside those. At the container's pids limit
// there are no more to be had, and Go's runtime ends a process that asks in vain. It keeps those that it has.
//
// They are idle when it returns: one that has still to let go of its goroutine is as good as none to the runtime, which
// would make another in its place.
func Make(n int) {
	var made, over, idle sync.WaitGroup
	over.Add(1)
	for range ahead + n {
		made.Add(1)
		idle.Add(1)
		go func() {
			defer idle.Done()
			runtime.LockOSThread() // one that is locked has a thread of its own
			defer runtime.UnlockOSThread()
			made.Done()
			over.Wait()
		}()
	}
	made.Wait()
	over.Done()
	idle.Wait()
}
