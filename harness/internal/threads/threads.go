// Package threads makes the threads that the harness needs beside COMMAND before it needs them.
package threads

import (
	"runtime"
	"sync"
)

// ahead are those that the harness needs beside COMMAND: for its loop, the reaper, the signals, COMMAND's notify
// socket, the control socket, a probe, a withdrawal, and two that Go's runtime keeps for itself.
const ahead = 12

// Limit keeps Go from wanting as many threads as the machine has processors: the harness waits.
func Limit() { runtime.GOMAXPROCS(min(2, runtime.GOMAXPROCS(0))) }

// Make makes the threads that the harness will need, n of them beside those. At the container's pids limit
// there are no more to be had, and Go's runtime ends a process that asks in vain. It keeps those that it has.
func Make(n int) {
	var made, over sync.WaitGroup
	over.Add(1)
	for range ahead + n {
		made.Add(1)
		go func() {
			runtime.LockOSThread() // one that is locked has a thread of its own
			defer runtime.UnlockOSThread()
			made.Done()
			over.Wait()
		}()
	}
	made.Wait()
	over.Done()
}
