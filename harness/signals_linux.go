package harness

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/sigaction"
)

// sigsetSize is the size of the kernel's signal set, which the rt_sig* calls are told.
const sigsetSize = unsafe.Sizeof(uint64(0))

// signalBeforeExec is the signal that came before execve(2) is called, or 0: that one ends start-up, while what comes
// later is COMMAND's. First the default actions are put back: from then on no signal can be lost in a handler of
// Go's, it ends the process, as it would a COMMAND that has only just begun. What was caught before is counted
// after. PID 1 has no default actions, so there the handlers stay and are asked last.
//
// Blocking the signals on every thread is no way: syscall.AllThreadsSyscall makes its call on the other
// threads in a signal handler, whose return puts their masks back.
func (s *startup) signalBeforeExec() syscall.Signal {
	if os.Getpid() != 1 {
		takePending()
		resetDispositions()
	}
	return s.signals.last(s.children)
}

// last counts the signals that came up to now, and is the first of them, or 0.
func (s *Signals) last(ps *child.Children) syscall.Signal {
	if s == nil {
		return 0
	}
	// A barrier: a thread makes this call only when the handlers that it had entered are through. Nothing else
	// here makes it, which tells a tracer where the last look begins.
	syscall.AllThreadsSyscall(syscall.SYS_GETPPID, 0, 0, 0)
	signal.Stop(s.arrived) // returns when all that was caught is in the channel
	close(s.arrived)
	s.deliver(ps)
	<-s.delivered
	if sig := ps.StoppedBy(); sig != 0 {
		return sig
	}
	signal.Stop(s.settled) // returns when all that was caught since is in held
	select {
	case sig := <-s.held:
		return sig.(syscall.Signal)
	default:
		return 0
	}
}

func sigmask(how int, set, old *uint64) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
}

// takePending lets this thread's handlers run for the signals that the kernel has woken another thread for,
// before they meet a default action: a change of its mask makes the kernel look for them.
func takePending() {
	var old uint64
	all := ^uint64(0)
	sigmask(unix.SIG_BLOCK, &all, &old)
	sigmask(unix.SIG_SETMASK, &old, nil)
}

// resetDispositions puts back the default actions of the signals that are caught, but for those inherited as
// ignored. Go's own handlers would be reset by execve(2); until then they would swallow a signal that comes now.
func resetDispositions() {
	for _, sig := range ending {
		if !signal.Ignored(sig) {
			sigaction.Set(sig, sigaction.Action{})
		}
	}
}

// cameIgnored tells whether a signal has come in ignored and is still. Go's runtime knows that of HUP and INT. It installs
// no handler for the signals of job control, so of these the kernel knows. All others are caught before main begins,
// and have their default actions in COMMAND.
func cameIgnored(sig syscall.Signal) bool { return signal.Ignored(sig) || sigaction.Of(sig).Ignores() }
