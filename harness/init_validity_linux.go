package harness

import (
	"math/rand/v2"
	"time"

	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/text"
)

// renewer resolves entries again, each alone, whose executables have said how long their values are good.
type renewer struct {
	*Harness
	state    *state
	due      map[string]*renewal // by entry
	expired  chan *renewal
	results  chan *renewal
	underWay bool // one at a time
	waiting  []*renewal
}

// renewal is the next resolution of one entry.
type renewal struct {
	entry      entry
	valid      time.Duration
	timer      *time.Timer
	retry      backoff.Delay // after a failure
	evaluation evaluation    // what it came to
}

func newRenewer(s *startup, st *state) *renewer {
	return &renewer{Harness: s.Harness, state: st, due: map[string]*renewal{}, expired: make(chan *renewal), results: make(chan *renewal, 1)}
}

// schedule forgets what was due before, and sets the times of all entries of s. A long-running hook makes its values
// known itself.
func (r *renewer) schedule(s *startup) {
	for _, before := range r.due {
		before.timer.Stop()
	}
	clear(r.due)
	r.state.clearNext()
	for _, a := range s.applied {
		if a.evaluation.valid > 0 && !a.evaluation.longRunning {
			r.arm(&renewal{entry: a.entry, valid: a.evaluation.valid, evaluation: a.evaluation}, early(a.evaluation.valid))
		}
	}
}

// early is 85 to 95 % of the time that values are good.
func early(valid time.Duration) time.Duration {
	return time.Duration(float64(valid) * (0.85 + 0.1*rand.Float64()))
}

func (r *renewer) arm(n *renewal, in time.Duration) {
	n.retry.First, n.retry.Most = min(retryFirst, n.valid), n.valid
	r.due[n.entry.name] = n
	n.timer = time.AfterFunc(in, func() { r.expired <- n })
	r.state.setNext(n.evaluation.names, time.Now().Add(in))
}

// begin resolves an entry again, when no other is under way.
func (r *renewer) begin(n *renewal) {
	if r.due[n.entry.name] != n || r.state.phaseNow().IsStopping() {
		return // a refresh came before it
	}
	if r.underWay {
		r.waiting = append(r.waiting, n)
		return
	}
	r.underWay = true
	s := r.state.forHooks()
	go func() {
		done := *n
		done.evaluation = s.evaluate(n.entry, s.env)
		r.results <- &done
	}()
}

// finish takes what a renewal came to. It is nil when nothing changes: one that failed is tried again.
func (r *renewer) finish(n *renewal, words []string) (s *startup) {
	r.underWay = false
	v := n.evaluation
	if v.err == nil {
		s, _, v.err = r.state.startup().checkedWith(n.entry, v, words)
	}
	if before := r.due[n.entry.name]; before != nil {
		r.settle(n, before, v)
	}
	if len(r.waiting) > 0 {
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.begin(next)
	}
	if v.err != nil {
		return nil
	}
	return s
}

// settle sets the time of the next renewal.
func (r *renewer) settle(n, before *renewal, v evaluation) {
	if v.err != nil {
		n.evaluation = before.evaluation
		delay := n.retry.Next()
		r.state.fail(before.evaluation.names)
		r.Log.Warn("a value could not be renewed, it stays as it is", "path", n.entry.path, "problem", v.err.Error(), "again in", text.Duration(delay))
		r.arm(n, delay)
		return
	}
	delete(r.due, n.entry.name)
	r.state.stamp(v.names)
	r.state.setNext(v.names, time.Time{})
	if v.valid > 0 && !v.longRunning {
		n.valid = v.valid
		n.retry.Reset()
		r.arm(n, early(v.valid))
	}
}
