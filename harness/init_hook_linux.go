package harness

import (
	"sync"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
)

const (
	restartDelay    = time.Second      // before a held executable that died is started again, doubling
	restartDelayMax = 30 * time.Second // up to this
	restartForgiven = time.Minute      // a run this long makes the next delay short again
)

// keeper keeps one held executable running: when it dies it is started again, with back-off, until it is
// told to end.
type keeper struct {
	entry   entry
	run     func() (child.Outcome, error) // starts it again, and returns when it is ready or has failed
	push    func(output []byte)           // takes a value that it makes known later
	log     func(problem string, delay time.Duration)
	timeout time.Duration // between TERM and KILL when it is told to end

	mu      sync.Mutex
	current *child.Hook   // nil while it is not running
	ending  chan struct{} // closed when it is told to end
	ended   chan struct{} // closed when it has
}

// keep begins with an executable that is held already.
func (k *keeper) keep(h *child.Hook) *keeper {
	k.current, k.ending, k.ended = h, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(k.ended)
		k.supervise(h)
	}()
	return k
}

func (k *keeper) supervise(h *child.Hook) {
	delay := restartDelay
	for {
		problem := "it failed"
		if h != nil {
			began := time.Now()
			problem = describe(h.Follow(k.push))
			if time.Since(began) > restartForgiven {
				delay = restartDelay
			}
		}
		if !k.pause(problem, delay) {
			return
		}
		delay = min(2*delay, restartDelayMax)
		h = k.restart()
	}
}

// pause waits before the next start and tells whether there is to be one.
func (k *keeper) pause(problem string, delay time.Duration) bool {
	select {
	case <-k.ending:
		return false
	default:
	}
	k.set(nil)
	delay = jitter(delay)
	k.log(problem, delay)
	select {
	case <-k.ending:
		return false
	case <-time.After(delay):
		return true
	}
}

// restart starts it again. It is nil when that failed or it did not stay.
func (k *keeper) restart() *child.Hook {
	out, err := k.run()
	if err != nil || out.Held == nil {
		return nil
	}
	h := child.NewHook(out.Held)
	if !k.set(h) {
		h.End(k.timeout)
		return h
	}
	k.push(h.Output)
	return h
}

// set records what runs, and tells whether it may go on.
func (k *keeper) set(h *child.Hook) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.ending:
		return false
	default:
		k.current = h
		return true
	}
}

// end tells it to go, TERM first, KILL when it takes longer than the time-out. Wait for ended.
func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.ending)
	if k.current != nil {
		k.current.End(k.timeout)
	}
}

// pid is the process ID of what runs, or 0.
func (k *keeper) pid() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil {
		return 0
	}
	return k.current.PID()
}
