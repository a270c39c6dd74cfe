package consul

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// The times of a blocking query.
const (
	pollWait = time.Minute           // how long the server lets it wait, and up to a sixteenth more at its choice
	pace     = 50 * time.Millisecond // the least time between two, so that a burst of changes is one or few
)

// query asks for a part of Consul's state, at once or as a blocking query, as q says. take takes the answer over
// and reports whether it is another than before.
type query func(ctx context.Context, client *client, q *api.QueryOptions) (take func() bool, index uint64, err error)

// nextIndex is what to wait for after an answer, by Consul's rules: an index that went backwards, as after a
// restored snapshot, begins anew, and 0 would not wait at all.
func nextIndex(last, answered uint64) uint64 {
	if answered < last {
		return 0
	}
	return max(answered, 1)
}

// poll repeats one query for as long as somebody wants to know. All that happens to what it follows, happens in
// one goroutine, one answer after the other: so nothing runs backwards.
type poll struct {
	registry *registry
	ask      query
	lock     *sync.Mutex        // of the feed, whose state take changes
	news     func(changed bool) // tells the feed, with the lock held, that something here is new

	// Under the lock.
	asked     uint64             // how many fresh reads were asked for
	read      uint64             // how many of those are done
	result    error              // of the last of them
	broken    error              // why it does not follow
	interrupt context.CancelFunc // ends the query that waits; nil: none does
	wake      chan struct{}      // receives when there is something to do
}

var errFresh = errors.New("nothing was read yet")

func newPoll(r *registry, ask query, lock *sync.Mutex, news func(changed bool)) *poll {
	return &poll{registry: r, ask: ask, lock: lock, news: news, broken: errFresh, wake: make(chan struct{}, 1)}
}

// want asks for a read that begins from now on, and gives its number.
func (p *poll) want() uint64 {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.asked++
	p.stir()
	return p.asked
}

// stir ends what is waiting.
func (p *poll) stir() {
	if p.interrupt != nil {
		p.interrupt()
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// disrupt ends the following, because the agent gives no answers.
func (p *poll) disrupt(why error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.broken == nil {
		p.broken = why
		p.stir()
		p.news(false)
	}
}

// run is the poll's life.
func (p *poll) run(ctx context.Context) {
	var index uint64
	for ctx.Err() == nil {
		number, fresh, idle := p.task()
		switch {
		case idle:
			select {
			case <-p.wake:
			case <-ctx.Done():
			}
			continue
		case fresh:
			index = 0
		}
		begun := time.Now()
		index = p.step(ctx, number, fresh, index)
		if !fresh {
			p.rest(ctx, begun)
		}
	}
}

// task is what to do next.
func (p *poll) task() (number uint64, fresh, idle bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	fresh = p.read < p.asked
	return p.asked, fresh, !fresh && p.broken != nil
}

// rest keeps the pace, unless somebody asks for a read.
func (p *poll) rest(ctx context.Context, begun time.Time) {
	left := pace - time.Since(begun)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	case <-ctx.Done():
	}
}

// step asks once, and gives the index from which to go on.
func (p *poll) step(ctx context.Context, number uint64, fresh bool, index uint64) uint64 {
	r := p.registry
	limit, client := r.config.Timeout, r.connection.calls
	if !fresh && index > 0 {
		limit, client = limit+pollWait+pollWait/16, r.connection.polls
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !p.begin(cancel, fresh) {
		return index
	}
	q := r.reading(limited)
	q.WaitIndex, q.WaitTime = index, pollWait
	start := time.Now()
	take, answered, err := p.ask(limited, client, q)
	if index > 0 && answered == index && time.Since(start) < pollWait {
		answered = 0 // ended early without news: a snapshot was restored, and this answer is of before
	}
	if err == nil {
		err = r.connection.open()
	}
	if err != nil {
		err = r.judge(err, fresh, time.Since(start))
	}
	return p.end(ctx, number, fresh, index, answered, take, err)
}

// judge gives an error its kind. A query that some proxy ended after a while is a gap, and no outage until a
// read fails, too.
func (r *registry) judge(err error, fresh bool, took time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		r.connection.idle()
	}
	err = r.explain(err, took)
	if !fresh && took > time.Second && errors.Is(err, discovery.ErrUnavailable) {
		return driver.ErrGap
	}
	return err
}

// begin makes the query one that a want can interrupt; not a fresh one, which is what is wanted.
func (p *poll) begin(cancel context.CancelFunc, fresh bool) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	if fresh {
		return true
	}
	p.interrupt = cancel
	return p.read == p.asked && p.broken == nil
}

func (p *poll) end(ctx context.Context, number uint64, fresh bool, index, answered uint64, take func() bool, err error) uint64 {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.interrupt = nil
	if !fresh && (p.read < p.asked || p.broken != nil) {
		return index // it was interrupted, and what follows is newer
	}
	if ctx.Err() != nil {
		return index
	}
	if fresh {
		p.read, p.result = number, err
	}
	p.broken = err
	if err != nil {
		p.news(false)
		return index
	}
	if changed := take(); changed || fresh {
		p.news(changed)
	}
	return nextIndex(index, answered)
}

// outcome gives the result of a read once it is done.
func (p *poll) outcome(number uint64) (done bool, err error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.read >= number, p.result
}
