package harness

import (
	"sync"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
)

const (
	restartDelay    = time.Second      // before a long-running hook that died is started again, doubling
	restartDelayMax = 30 * time.Second // up to this
	restartForgiven = time.Minute      // a run this long makes the next delay short again
)

// hookSupervisor keeps one long-running hook running: when it dies it is started again, with back-off, until it is
// told to stop.
type hookSupervisor struct {
	path    string
	run     func() (child.Outcome, error) // starts it again, and returns when it is ready or has failed
	push    func(output []byte)           // takes a value that it makes known later
	log     func(problem string, delay time.Duration)
	timeout time.Duration // between TERM and KILL when it is told to stop

	mu       sync.Mutex
	current  *child.Hook   // nil while it is not running
	stopping chan struct{} // closed when it is told to stop
	stopped  chan struct{} // closed when it has
}

// start begins with a hook that runs already.
func (s *hookSupervisor) start(h *child.Hook) *hookSupervisor {
	s.current, s.stopping, s.stopped = h, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.stopped)
		s.supervise(h)
	}()
	return s
}

func (s *hookSupervisor) supervise(h *child.Hook) {
	delay := restartDelay
	for {
		problem := "it failed"
		if h != nil {
			began := time.Now()
			problem = describe(h.Follow(s.push))
			if time.Since(began) > restartForgiven {
				delay = restartDelay
			}
		}
		if !s.pause(problem, delay) {
			return
		}
		delay = min(2*delay, restartDelayMax)
		h = s.restart()
	}
}

// pause waits before the next start and tells whether there is to be one.
func (s *hookSupervisor) pause(problem string, delay time.Duration) bool {
	select {
	case <-s.stopping:
		return false
	default:
	}
	s.set(nil)
	delay = jitter(delay)
	s.log(problem, delay)
	select {
	case <-s.stopping:
		return false
	case <-time.After(delay):
		return true
	}
}

// restart starts it again. It is nil when that failed or it did not stay.
func (s *hookSupervisor) restart() *child.Hook {
	out, err := s.run()
	if err != nil || out.Held == nil {
		return nil
	}
	h := child.NewHook(out.Held)
	if !s.set(h) {
		h.End(s.timeout)
		return h
	}
	s.push(h.Output)
	return h
}

// set records what runs, and tells whether it may go on.
func (s *hookSupervisor) set(h *child.Hook) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stopping:
		return false
	default:
		s.current = h
		return true
	}
}

// stop tells it to go, TERM first, KILL when it takes longer than the time-out. Wait for stopped.
func (s *hookSupervisor) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.stopping)
	if s.current != nil {
		s.current.End(s.timeout)
	}
}

// pid is the process ID of what runs, or 0.
func (s *hookSupervisor) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.PID()
}
