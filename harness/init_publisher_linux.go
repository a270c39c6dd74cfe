package harness

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/backoff"
	"github.com/envharness/envharness/internal/text"
)

// The delays before an /export that failed is tried again: the first, doubling, and the longest.
const (
	exportFirst = time.Second
	exportMost  = 30 * time.Second
)

// publisher makes what is announced follow what is wanted: it runs /export, keeps its long-running
// hooks running, and withdraws. One thing at a time, in a goroutine of its own, so that signals never wait for it.
type publisher struct {
	base  *startup
	state *state // whose environment exports get, at the time they run

	mu        sync.Mutex
	wanted    bool
	announced bool
	busy      bool  // an announcement or a withdrawal is under way
	abandoned bool  // nobody waits for it any more
	lastErr   error // of the last attempt
	hooks     []*child.Supervisor
	wake      chan struct{} // something else is wanted
	changed   chan struct{} // something has been done
}

func newPublisher(s *startup, st *state) *publisher {
	return &publisher{base: s, state: st, wake: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
}

// begin begins with what start-up has announced, if it has.
func (p *publisher) begin(hooks []runningHook, announced bool) {
	for _, h := range hooks {
		p.add(p.supervise(h))
	}
	p.mu.Lock()
	p.wanted, p.announced = announced, announced
	p.mu.Unlock()
	go p.work()
}

// want says whether the service is to be announced.
func (p *publisher) want(announced bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted != announced {
		p.wanted = announced
		notice(p.wake)
	}
}

// status is what is announced now, whether that is what is wanted, and how the last attempt ended.
func (p *publisher) status() (announced, settled bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned {
		return false, true, nil
	}
	return p.announced, p.announced == p.wanted && !p.busy, p.lastErr
}

// notice leaves a mark in a channel that holds one.
func notice(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *publisher) work() {
	delay := backoff.Delay{First: exportFirst, Most: exportMost}
	for {
		p.mu.Lock()
		wanted, announced := p.wanted, p.announced
		p.busy = wanted != announced
		p.mu.Unlock()
		if wanted == announced {
			delay.Reset()
			<-p.wake
			continue
		}
		err := p.change(wanted)
		p.mu.Lock()
		p.busy, p.lastErr = false, err
		if err == nil {
			p.announced = wanted
		}
		p.mu.Unlock()
		notice(p.changed)
		if err != nil {
			p.retryLater(err, delay.Next())
		}
	}
}

// retryLater waits, or until something else is wanted.
func (p *publisher) retryLater(err error, delay time.Duration) {
	Each(err, func(one error) {
		p.base.Log.Warn("the service could not be announced, will be tried again", "problem", one.Error(), "in", text.Duration(delay))
	})
	select {
	case <-p.wake:
	case <-time.After(delay):
	}
}

// abandon takes a withdrawal that lasts too long, or has not begun, for done.
func (p *publisher) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandoned = true
	notice(p.changed)
}

func (p *publisher) change(announced bool) error {
	if announced {
		return p.export()
	}
	p.withdraw()
	return nil
}

// export runs /export. When a hook fails, those that run are ended again: all or nothing.
func (p *publisher) export() error {
	s := p.base.again(p.state.environment())
	s.export()
	for _, h := range s.exporters {
		p.add(p.supervise(h))
	}
	if err := s.failures.ErrorOrNil(); err != nil {
		p.stopHooks()
		return err
	}
	return nil
}

func (p *publisher) add(h *child.Supervisor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks = append(p.hooks, h)
}

// supervise keeps a long-running hook running.
func (p *publisher) supervise(h runningHook) *child.Supervisor {
	s := &child.Supervisor{
		Path:    h.entry.path,
		Run:     func() (child.Outcome, error) { return p.base.again(p.state.environment()).runExport(h.entry) },
		Push:    func([]byte) {},
		Timeout: p.base.Timeout,
		Log: func(problem string, delay time.Duration) {
			p.base.Log.Warn("a held exporter ended, it is started again", "path", h.entry.path, "problem", problem, "in", text.Duration(delay))
		},
	}
	return s.Start(h.hook)
}

// withdraw ends the long-running hooks, and then runs teardown. A failure of that is only logged:
// there is nothing better to be done about it.
func (p *publisher) withdraw() {
	p.stopHooks()
	s := p.base.again(p.state.environment())
	for _, dir := range s.Export {
		path := filepath.Join(dir, teardown)
		e := entry{name: teardown, path: path, dir: dir, at: path}
		if _, err := s.runTeardown(e); err != nil {
			s.Log.Error("teardown failed", "problem", err.Error())
		}
	}
}

// stopHooks ends all long-running hooks at once and waits for them.
func (p *publisher) stopHooks() {
	p.mu.Lock()
	hooks := p.hooks
	p.hooks = nil
	p.mu.Unlock()
	for _, h := range hooks {
		h.Stop()
	}
	for _, h := range hooks {
		<-h.Stopped()
	}
}

// exporters lists the long-running hooks for status.
func (p *publisher) exporters() []control.ExporterStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []control.ExporterStatus{}
	for _, h := range p.hooks {
		list = append(list, control.ExporterStatus{Path: h.Path, PID: h.PID()})
	}
	return list
}

// runTeardown runs a directory's teardown, where it has one that is not masked.
func (s *startup) runTeardown(e entry) (child.Outcome, error) {
	if !isTeardown(e.path) {
		return child.Outcome{}, nil
	}
	out, err := s.runExport(e)
	if out.Held != nil {
		out.Held.Discard()
		return out, errors.New(e.path + ": said READY=1, and nothing is held in a teardown")
	}
	return out, err
}

// isTeardown tells whether path is a teardown that takes part.
func isTeardown(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && !(info.Mode()&os.ModeSymlink != 0 && isMask(path)) && specialKind(path, info.Mode()) == ""
}
