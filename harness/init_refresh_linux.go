package harness

import (
	"math/rand/v2"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/text"
)

// retryFirst is the delay before what failed is tried again; it doubles.
const retryFirst = time.Second

// refresher resolves /environment again while COMMAND runs.
type refresher struct {
	*Harness
	base      *startup
	state     *state
	inherited *environ.Environ // what a refresh begins with
	words     []string         // COMMAND's
	timer     *time.Timer
	retry     backoff.Delay // after a failure
	underWay  bool
	results   chan refreshed
}

// refreshed is the outcome of resolving again.
type refreshed struct {
	startup *startup
	err     error
}

func newRefresher(s *startup, st *state, words []string) *refresher {
	return &refresher{Harness: s.Harness, base: s, state: st, inherited: s.env.Clone(), words: words, timer: newStoppedTimer(), retry: backoff.Delay{First: retryFirst, Most: s.Init.Refresh}, results: make(chan refreshed)}
}

// arm sets the time of the next refresh, ±10 %, so that a fleet does not ask all at once.
func (r *refresher) arm() {
	if d := r.Init.Refresh; d > 0 {
		r.reset(time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())))
	}
}

func (r *refresher) reset(in time.Duration) {
	r.timer.Reset(in)
	r.state.setRefresh(time.Now().Add(in))
}

// begin begins a refresh unless one is under way or nobody needs it any more.
func (r *refresher) begin() {
	if r.underWay || r.state.phaseNow().IsStopping() {
		return
	}
	r.underWay = true
	go func() { r.results <- r.resolve() }()
}

// resolve resolves /environment again, from what was inherited. Long-running hooks are not run: their values
// are what they last made known.
func (r *refresher) resolve() refreshed {
	s := r.base.again(r.inherited)
	s.pushed = r.state.pushedOutput
	s.resolve()
	return refreshed{startup: s, err: s.check(r.words)}
}

// check finds why COMMAND could not be started with what was resolved.
func (s *startup) check(words []string) error {
	s.require()
	err := s.failed()
	if err == nil && len(words) > 0 {
		_, _, err = s.lookUpCommand(words)
	}
	return err
}

// checkedWith is what s resolved but with another evaluation of one entry, unless COMMAND could not be started so.
func (s *startup) checkedWith(e entry, v evaluation, words []string) (*startup, evaluation, error) {
	n := s.with(e, v)
	return n, v, n.check(words)
}

// finish ends a refresh and tells whether it succeeded. One that failed is tried again.
func (r *refresher) finish(result refreshed) bool {
	r.underWay = false
	if result.err == nil {
		r.retry.Reset()
		return true
	}
	for _, h := range result.startup.discoverers {
		h.hook.End(r.Timeout)
	}
	delay := r.retry.Next()
	Each(result.err, func(one error) {
		r.Log.Warn("a refresh failed, the values stay as they are", "problem", one.Error(), "again in", text.Duration(delay))
	})
	r.state.failEntries(result.startup.failing)
	r.reset(delay)
	return false
}

// discoverers are the long-running hooks of /environment, each of which makes new values known as it finds them.
type discoverers struct {
	*Harness
	base   *startup
	state  *state
	words  []string // COMMAND's
	hooks  []*child.Supervisor
	pushes chan push
}

// push is one new value of a long-running hook.
type push struct {
	entry  entry
	output []byte
}

func newDiscoverers(s *startup, st *state, words []string) *discoverers {
	return &discoverers{Harness: s.Harness, base: s, state: st, words: words, pushes: make(chan push)}
}

// keep keeps hooks running.
func (d *discoverers) keep(hooks []runningHook) {
	for _, h := range hooks {
		supervisor := &child.Supervisor{
			Path: h.entry.path,
			Run: func() (child.Outcome, error) {
				return d.base.again(d.state.environment()).execute(h.entry, d.state.environment(), false)
			},
			Push:    func(output []byte) { d.pushes <- push{h.entry, output} },
			Timeout: d.Timeout,
			Log: func(problem string, delay time.Duration) {
				d.Log.Warn("a held executable ended, it is started again", "path", h.entry.path, "problem", problem, "in", text.Duration(delay))
			},
		}
		d.state.push(h.entry.name, h.hook.Output)
		d.hooks = append(d.hooks, supervisor.Start(h.hook))
	}
}

// take takes over a new value, and tells whether COMMAND is to have another environment. One that is refused changes
// nothing.
func (d *discoverers) take(p push) bool {
	s, v, err := d.with(p)
	if err != nil {
		d.Log.Warn("a pushed value is refused, the old one stays", "path", p.entry.path, "problem", err.Error())
		return false
	}
	d.state.stamp(v.names)
	d.state.push(p.entry.name, p.output)
	return d.state.adopt(s)
}

// with is the current environment with a new value. It refuses one that a refresh would refuse.
func (d *discoverers) with(p push) (*startup, evaluation, error) {
	current := d.state.startup()
	v := evaluation{source: p.entry.path}
	current.take(p.entry, p.output, d.state.environment(), &v)
	if v.err != nil {
		return nil, v, v.err
	}
	return current.checkedWith(p.entry, v, d.words)
}

// stop tells them all to end.
func (d *discoverers) stop() {
	for _, h := range d.hooks {
		h.Stop()
	}
}
