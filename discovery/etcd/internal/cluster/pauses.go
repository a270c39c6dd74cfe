package cluster

import (
	"errors"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// retryDelay is how often gRPC asks for a connection that it has not: pauses answers most of the time.
const retryDelay = 200 * time.Millisecond

// errPause is the answer to gRPC while an address is left in peace.
var errPause = errors.New("it is tried again soon")

// pauses are between attempts to connect to an address: each is longer than the one before, and a call ends them all.
// gRPC's own back-off cannot be ended: its ResetConnectBackoff reads a map that others write.
type pauses struct {
	lock sync.Mutex
	next map[string]*pause
}

type pause struct {
	backoff discovery.Backoff
	until   time.Time
}

// lasting is how long a connection lives that makes good for the attempts before.
const lasting = 15 * time.Second

// begin is errPause while an address is left in peace, and else begins the next pause.
func (p *pauses) begin(address string) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	one, now := p.next[address], time.Now()
	switch {
	case one == nil || now.Sub(one.until) > lasting:
		one = &pause{}
	case now.Before(one.until):
		return errPause
	}
	one.until = now.Add(one.backoff.Next())
	if p.next == nil {
		p.next = map[string]*pause{}
	}
	p.next[address] = one
	return nil
}

// end lets every address be tried at once.
func (p *pauses) end() {
	p.lock.Lock()
	defer p.lock.Unlock()
	clear(p.next)
}
