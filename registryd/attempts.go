package registryd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/envharness/envharness/internal/backoff"
)

// How often somebody may fail to log in before having to wait, and for how long.
const (
	failuresAllowed = 5
	failuresWindow  = time.Minute // after which failures are forgotten
	shortestDelay   = time.Second // doubles with each further failure
	longestDelay    = 10 * time.Second
	mostFailures    = 10000 // users of peers that are counted
	mostDelayed     = 4     // logins of one user of one peer that wait, more are refused
	mostInLine      = 256   // logins of one peer
)

// attemptKey is whose failures are counted: who guesses a user's password from one place keeps neither the other
// users of that place waiting, nor that user elsewhere.
type attemptKey struct {
	peer string
	user [sha256.Size]byte
}

// crowdError is told to whom too many wait before.
type crowdError struct{ wait time.Duration }

func (e *crowdError) Error() string {
	return fmt.Sprintf("too many failed logins, try again in %s", e.wait.Round(time.Second))
}

// attempts lets every peer log in once at a time, and makes those who failed wait.
type attempts struct {
	lock  sync.Mutex
	byKey map[attemptKey]*failures
	lines map[string]*line
}

type failures struct {
	count   int
	last    time.Time
	delayed int // that wait now
}

// line is where a peer's logins wait for their turn.
type line struct {
	length int
	turn   chan struct{}
}

func newAttempts() *attempts {
	return &attempts{byKey: map[attemptKey]*failures{}, lines: map[string]*line{}}
}

// enter blocks until it is who's turn; leave ends that and may be called twice. delayed is called before each wait.
func (a *attempts) enter(ctx context.Context, who attemptKey, delayed func()) (leave func(), err error) {
	l, err := a.line(who.peer)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case l.turn <- struct{}{}:
		case <-ctx.Done():
			a.leaveLine(who.peer, l)
			return nil, ctx.Err()
		}
		wait, err := a.delay(who)
		if wait == 0 && err == nil {
			return sync.OnceFunc(func() { <-l.turn; a.leaveLine(who.peer, l) }), nil
		}
		<-l.turn
		if err == nil {
			delayed()
			err = a.wait(ctx, who, wait)
		}
		if err != nil {
			a.leaveLine(who.peer, l)
			return nil, err
		}
	}
}

func (a *attempts) line(peer string) (*line, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	l := a.lines[peer]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		a.lines[peer] = l
	}
	if l.length >= mostInLine {
		return nil, &crowdError{longestDelay}
	}
	l.length++
	return l, nil
}

func (a *attempts) leaveLine(peer string, l *line) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if l.length--; l.length == 0 {
		delete(a.lines, peer)
	}
}

// delay is how long who has to wait; then it counts as one that does.
func (a *attempts) delay(who attemptKey) (time.Duration, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	f := a.byKey[who]
	if f == nil || f.count < failuresAllowed {
		return 0, nil
	}
	delay := min(shortestDelay<<min(f.count-failuresAllowed, 10), longestDelay)
	wait := time.Until(f.last.Add(delay))
	if wait <= 0 {
		return 0, nil
	}
	if f.delayed >= mostDelayed {
		return 0, &crowdError{wait}
	}
	f.delayed++
	return wait, nil
}

func (a *attempts) wait(ctx context.Context, who attemptKey, wait time.Duration) error {
	defer func() {
		a.lock.Lock()
		defer a.lock.Unlock()
		if f := a.byKey[who]; f != nil && f.delayed > 0 {
			f.delayed--
		}
	}()
	return backoff.Sleep(ctx, wait)
}

func (a *attempts) failed(who attemptKey) {
	a.lock.Lock()
	defer a.lock.Unlock()
	now := time.Now()
	f := a.byKey[who]
	if f == nil || now.Sub(f.last) > failuresWindow {
		a.prune(now)
		f = new(failures)
		a.byKey[who] = f
	}
	f.count++
	f.last = now
}

func (a *attempts) succeeded(who attemptKey) {
	a.lock.Lock()
	defer a.lock.Unlock()
	delete(a.byKey, who)
}

// prune keeps the memory bounded.
func (a *attempts) prune(now time.Time) {
	if len(a.byKey) < mostFailures {
		return
	}
	for who, f := range a.byKey {
		if now.Sub(f.last) > failuresWindow {
			delete(a.byKey, who)
		}
	}
	if len(a.byKey) < mostFailures {
		return
	}
	for who := range a.byKey { // any will do, and not only one each time
		if len(a.byKey) < mostFailures/2 {
			return
		}
		delete(a.byKey, who)
	}
}
