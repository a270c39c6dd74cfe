package harness

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/envharness/envharness/harness/internal/child"
)

// ending are the signals that end start-up.
var ending = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}

// Signals holds the signals that came since CatchSignals.
type Signals struct {
	arrived   chan os.Signal
	held      chan os.Signal // keeps them caught when arrived is given up
	settled   chan os.Signal // is given up to learn that held has all that was caught
	begun     chan struct{}  // closed when they are caught
	caught    []syscall.Signal
	once      sync.Once
	stuck     sync.Once                             // begins to look for a harness that is stuck
	handle    func(syscall.Signal, *child.Children) // what a signal does; by default it ends start-up
	delivered chan struct{}                         // closed when arrived is closed and all it held has taken effect
}

// CatchSignals begins to hold back the signals that end start-up; one that is inherited as ignored
// (nohup(1)) is left so. It belongs into the first line of main: a signal before it ends the process by
// its default action.
//
// To catch a signal takes several turns of a thread of Go's, all four as long as reading the options. So that
// is done meanwhile, and a run waits for it before it looks at anything.
func CatchSignals() *Signals {
	s := &Signals{
		arrived:   make(chan os.Signal, 2*lastSignal),
		held:      make(chan os.Signal, 16),
		settled:   make(chan os.Signal, 1),
		begun:     make(chan struct{}),
		handle:    func(sig syscall.Signal, ps *child.Children) { ps.Stop(sig) },
		delivered: make(chan struct{}),
	}
	go s.catch()
	return s
}

func (s *Signals) catch() {
	defer close(s.begun)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write to a closed stderr fails, and ends nothing
	for _, sig := range ending {
		if !signal.Ignored(sig) {
			s.caught = append(s.caught, sig)
			signal.Notify(s.arrived, sig)
			signal.Notify(s.held, sig)
			signal.Notify(s.settled, sig)
		}
	}
}

// await returns when the signals are held back.
func (s *Signals) await() {
	if s != nil {
		<-s.begun
	}
}

// EndProcess lets every signal, those that came already first, end the process: for what has nothing to clean up.
func (s *Signals) EndProcess() {
	s.await()
	go func() {
		sig := <-s.arrived
		os.Exit(128 + int(sig.(syscall.Signal)))
	}()
}

// deliver lets every signal, those that came already first, end what processes run.
func (s *Signals) deliver(ps *child.Children) {
	if s == nil {
		return
	}
	s.once.Do(func() {
		go func() {
			defer close(s.delivered)
			for sig := range s.arrived {
				s.receive(sig.(syscall.Signal), ps)
			}
		}()
	})
}

// receive lets a signal take effect.
func (s *Signals) receive(sig syscall.Signal, ps *child.Children) {
	s.handle(sig, ps)
	if ps.StoppedBy() != 0 {
		s.stuck.Do(func() { go endStuck(ps, 128+int(ps.StoppedBy()), stopLimit, func() {}, func() bool { return false }) })
	}
}

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

// CanForward tells whether a signal can reach the harness with --init, and so COMMAND. PROF is the runtime's.
func CanForward(sig syscall.Signal) bool {
	return sig != syscall.SIGPROF && !slices.Contains(notForwarded, sig)
}

// lastSignal is the highest real-time signal, SIGRTMAX of signal(7).
const lastSignal = 64

// dropped are those of them that are caught nonetheless, and end there: they would stop the harness.
var dropped = [...]syscall.Signal{syscall.SIGTTIN, syscall.SIGTTOU}

// forwardAll begins to catch every signal that is forwarded, those inherited as ignored excepted.
func (s *Signals) forwardAll() {
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if !slices.Contains(notForwarded, sig) && !slices.Contains(s.caught, sig) && !cameIgnored(sig) {
			s.caught = append(s.caught, sig)
			signal.Notify(s.arrived, sig)
		}
	}
	for _, sig := range dropped {
		if !cameIgnored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}
