package harness

import (
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigsetSize is the size of the kernel's signal set, which the rt_sig* calls are told.
const sigsetSize = unsafe.Sizeof(uint64(0))

// asUser calls f on a thread whose credentials are COMMAND's user's, so that the kernel itself judges what
// that user may do. The thread is never used again; the process's other threads keep their credentials.
func (s *startup) asUser(f func() error) error {
	if s.user == nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := s.user.assume(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// handOver makes the process COMMAND, unless a signal comes before execve(2): that one ends start-up, while
// what comes later is COMMAND's. To tell the two apart without a gap all signals are blocked on all threads,
// those that Go's runtime holds are counted, those that the kernel holds are looked at, and only then the
// inherited mask is put back. A signal between that and execve(2) meets the default action, as it would in
// a COMMAND that has only just begun.
func (s *startup) handOver(file string, argv, env []string) error {
	if err := s.chdir(); err != nil {
		return err
	}
	var inherited uint64
	sigmask(unix.SIG_BLOCK, nil, &inherited)
	blockAllThreads()
	if sig := s.signals.last(s.processes); sig != 0 {
		return &SignalError{Signal: sig}
	}
	resetDispositions()
	sigmask(unix.SIG_SETMASK, &inherited, nil)
	return s.exec(file, argv, env)
}

// last counts the signals that came up to now, and is the first of them, or 0. The caller has blocked them:
// nothing is caught any more.
func (s *Signals) last(ps *processes) syscall.Signal {
	if s == nil {
		return 0
	}
	signal.Stop(s.arrived) // returns when all that was caught is in the channel
	close(s.arrived)
	s.deliver(ps)
	<-s.delivered
	if sig := ps.stoppedBy(); sig != 0 {
		return sig
	}
	var pending uint64
	syscall.RawSyscall(syscall.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), sigsetSize, 0)
	for _, sig := range s.caught {
		if pending&sigbit(sig) != 0 {
			return sig
		}
	}
	return 0
}

func sigbit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

func sigmask(how int, set, old *uint64) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
}

// blockAllThreads blocks every signal but the two that Go's runtime and the C libraries use between threads.
// With cgo, which the released binary is built without, only this thread is reached.
func blockAllThreads() {
	all := ^(sigbit(32) | sigbit(33))
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), 0, sigsetSize, 0, 0)
	if errno != 0 {
		sigmask(unix.SIG_BLOCK, &all, nil)
	}
}

// resetDispositions gives the signals their default actions but those that were inherited as ignored and
// that Go tells of, HUP and INT. Go's own handlers would be reset by execve(2); until then they would swallow
// a signal that comes now, and the stop signals of a terminal stay ignored over execve(2) when they are.
func resetDispositions() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		if (sig == syscall.SIGHUP || sig == syscall.SIGINT) && signal.Ignored(sig) {
			continue
		}
		defaultAction(sig)
	}
}

// defaultAction gives a signal its default action, past Go's runtime.
func defaultAction(sig syscall.Signal) {
	var action struct{ handler, flags, restorer, mask uint64 } // all zero is SIG_DFL
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
}
