package harness

import (
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

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
func (d *discoverers) keep(hooks []held) {
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
