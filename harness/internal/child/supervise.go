package child

import (
	"sync"
	"time"

	"github.com/envharness/envharness/internal/backoff"
)

const (
	restartFirst    = time.Second      // the delay before a long-running hook that died is started again, doubling
	restartMost     = 30 * time.Second // up to this
	restartForgiven = time.Minute      // a run this long makes the next delay short again
)

// Supervisor keeps one long-running hook running: when it dies it is started again, with back-off, until it is
// told to stop.
type Supervisor struct {
	Path    string
	Run     func() (Outcome, error) // starts it again, and returns when it is ready or has failed
	Push    func(output []byte)     // takes a value that it makes known later
	Log     func(problem string, delay time.Duration)
	Timeout time.Duration // between TERM and KILL when it is told to stop

	mu       sync.Mutex
	current  *Hook         // nil while it is not running
	stopping chan struct{} // closed when it is told to stop
	stopped  chan struct{} // closed when it has
}

// Start begins with a hook that runs already.
func (s *Supervisor) Start(h *Hook) *Supervisor {
	s.current, s.stopping, s.stopped = h, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.stopped)
		s.supervise(h)
	}()
	return s
}

func (s *Supervisor) supervise(h *Hook) {
	delay := backoff.Delay{First: restartFirst, Most: restartMost}
	for {
		problem := "it failed"
		if h != nil {
			began := time.Now()
			problem = Describe(h.Follow(s.Push))
			if time.Since(began) > restartForgiven {
				delay.Reset()
			}
		}
		if !s.pause(problem, delay.Next()) {
			return
		}
		h = s.restart()
	}
}

// pause waits before the next start and tells whether there is to be one.
func (s *Supervisor) pause(problem string, delay time.Duration) bool {
	select {
	case <-s.stopping:
		return false
	default:
	}
	s.set(nil)
	s.Log(problem, delay)
	select {
	case <-s.stopping:
		return false
	case <-time.After(delay):
		return true
	}
}

// restart starts it again. It is nil when that failed or it did not stay.
func (s *Supervisor) restart() *Hook {
	out, err := s.Run()
	if err != nil || out.Held == nil {
		return nil
	}
	h := NewHook(out.Held)
	if !s.set(h) {
		h.End(s.Timeout)
		return h
	}
	s.Push(h.Output)
	return h
}

// set records what runs, and tells whether it may go on.
func (s *Supervisor) set(h *Hook) bool {
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

// Stopped is closed when it has stopped.
func (s *Supervisor) Stopped() <-chan struct{} { return s.stopped }

// Stop tells it to go, TERM first, KILL when it takes longer than the time-out. Wait for Stopped. It may be called once.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.stopping)
	if s.current != nil {
		s.current.End(s.Timeout)
	}
}

// PID is the process ID of what runs, or 0.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.PID()
}
