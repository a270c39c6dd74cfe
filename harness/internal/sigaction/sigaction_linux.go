// Package sigaction sets and reads what the kernel does at a signal (rt_sigaction(2)), past Go's runtime.
package sigaction

import (
	"syscall"
	"unsafe"
)

// Action is what the kernel does at a signal, as it wants it to be written. The zero value is the default action.
type Action struct {
	handler uintptr // the first member everywhere that Go runs on but MIPS
	_       [3]uint64
}

// Ignores tells whether the signal is ignored.
func (a Action) Ignores() bool {
	const ignore = 1 // SIG_IGN
	return a.handler == ignore
}

// Of is what the kernel does at a signal now.
func Of(sig syscall.Signal) (now Action) {
	set(sig, nil, &now)
	return now
}

// Set lets the kernel do something else at a signal, and gives what it did before.
func Set(sig syscall.Signal, action Action) (before Action) {
	set(sig, &action, &before)
	return before
}

func set(sig syscall.Signal, action, before *Action) {
	const sigsetSize = unsafe.Sizeof(uint64(0))
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(before)), sigsetSize, 0, 0)
}

// ResetInherited gives those signals their default actions that C libraries keep for their threads and that Go's
// runtime leaves as they come. SIGCHLD gets its own because nobody here needs it, and Go's handler would wake a thread
// at every exit.
func ResetInherited() {
	for _, sig := range [...]syscall.Signal{syscall.SIGCHLD, 32, 34} {
		Set(sig, Action{})
	}
}
