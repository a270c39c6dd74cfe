package harness

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// notForwarded are the signals that COMMAND does not get from the harness: those that no process can catch,
// those about the harness's own children, terminal and pipes, the one that Go's runtime uses, the faults that
// the kernel blames on an instruction, and those that threads and Go keep for themselves.
var notForwarded = []syscall.Signal{
	syscall.SIGKILL, syscall.SIGSTOP,
	syscall.SIGCHLD, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE,
	syscall.SIGURG,
	syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS,
	32, 33, 34,
}

// lastSignal is the highest real-time signal, SIGRTMAX of signal(7).
const lastSignal = 64

// dropped are those of them that are caught nonetheless, and end there: SIGPIPE, so that Go lets a write to a
// closed stderr fail instead of ending the process, and the ones that would stop the harness.
var dropped = []os.Signal{syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU}

// forwardAll begins to catch every signal that is forwarded, those inherited as ignored excepted.
func (s *Signals) forwardAll() {
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if !slices.Contains(notForwarded, sig) && !slices.Contains(s.caught, sig) && !signal.Ignored(sig) {
			s.caught = append(s.caught, sig)
			signal.Notify(s.arrived, sig)
		}
	}
	signal.Notify(make(chan os.Signal, 1), dropped...)
}

// mapped is what COMMAND gets for a signal, or 0.
func (o InitOptions) mapped(sig syscall.Signal) syscall.Signal {
	if other, ok := o.SignalMap[sig]; ok {
		return other
	}
	return sig
}

// stops tells whether a signal, as received, begins a stop.
func (o InitOptions) stops(sig syscall.Signal) bool {
	return o.mapped(sig) != 0 && (sig == syscall.SIGTERM || sig == syscall.SIGINT || slices.Contains(o.StopSignals, sig))
}

// stopSignal is what COMMAND is stopped with when nobody sent a signal.
func (o InitOptions) stopSignal() syscall.Signal {
	stop := syscall.SIGTERM
	if len(o.StopSignals) > 0 {
		stop = o.StopSignals[0]
	}
	if sig := o.mapped(stop); sig != 0 {
		return sig
	}
	return stop
}

// exitCode is the exit code for COMMAND's status.
func (o InitOptions) exitCode(status syscall.WaitStatus) int {
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if other, ok := o.ExpectExit[code]; ok {
		return other
	}
	return code
}
