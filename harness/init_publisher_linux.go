package harness

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/text"
)

// announcer makes what is announced follow what is wanted: it runs /export and keeps what is held there, and
// it withdraws. One thing at a time, in a goroutine of its own, so that signals never wait for it.
type announcer struct {
	base *startup
	env  func() *environ // what exports get, at the time they run

	mu        sync.Mutex
	wanted    bool
	announced bool
	busy      bool  // an announcement or a withdrawal is under way
	abandoned bool  // nobody waits for it any more
	lastErr   error // of the last attempt
	keepers   []*keeper
	wake      chan struct{} // something else is wanted
	changed   chan struct{} // something has been done
}

// newAnnouncer begins with what start-up has announced, if it has.
func newAnnouncer(s *startup, announced bool, env func() *environ) *announcer {
	a := &announcer{base: s, env: env, wanted: announced, announced: announced, wake: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	for _, h := range s.exporters {
		a.keepers = append(a.keepers, a.keep(h))
	}
	go a.work()
	return a
}

// want says whether the service is to be announced.
func (a *announcer) want(announced bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wanted != announced {
		a.wanted = announced
		notice(a.wake)
	}
}

// state is what is announced now, whether that is what is wanted, and how the last attempt ended.
func (a *announcer) state() (announced, settled bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abandoned {
		return false, true, nil
	}
	return a.announced, a.announced == a.wanted && !a.busy, a.lastErr
}

// notice leaves a mark in a channel that holds one.
func notice(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *announcer) work() {
	delay := restartDelay
	for {
		a.mu.Lock()
		wanted, announced := a.wanted, a.announced
		a.busy = wanted != announced
		a.mu.Unlock()
		if wanted == announced {
			delay = restartDelay
			<-a.wake
			continue
		}
		err := a.change(wanted)
		a.mu.Lock()
		a.busy, a.lastErr = false, err
		if err == nil {
			a.announced = wanted
		}
		a.mu.Unlock()
		notice(a.changed)
		if err != nil {
			a.retryLater(err, jitter(delay))
			delay = min(2*delay, restartDelayMax)
		}
	}
}

// retryLater waits, or until something else is wanted.
func (a *announcer) retryLater(err error, delay time.Duration) {
	Each(err, func(one error) {
		a.base.Log.Warn("the service could not be announced, will be tried again", "problem", one.Error(), "in", text.Duration(delay))
	})
	select {
	case <-a.wake:
	case <-time.After(delay):
	}
}

// abandon takes a withdrawal that lasts too long, or has not begun, for done.
func (a *announcer) abandon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.abandoned = true
	notice(a.changed)
}

func (a *announcer) change(announced bool) error {
	if announced {
		return a.export()
	}
	a.withdraw()
	return nil
}

// export runs /export. When one of it fails, what is held already is ended again: all or nothing.
func (a *announcer) export() error {
	s := a.base.again(a.env())
	s.export()
	for _, h := range s.exporters {
		a.add(a.keep(h))
	}
	if err := s.failures.ErrorOrNil(); err != nil {
		a.endKeepers()
		return err
	}
	return nil
}

func (a *announcer) add(k *keeper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keepers = append(a.keepers, k)
}

func (a *announcer) keep(h held) *keeper {
	k := &keeper{
		entry:   h.entry,
		run:     func() (child.Outcome, error) { return a.base.again(a.env()).runExport(h.entry) },
		push:    func([]byte) {},
		timeout: a.base.Timeout,
		log: func(problem string, delay time.Duration) {
			a.base.Log.Warn("a held exporter ended, it is started again", "path", h.entry.path, "problem", problem, "in", text.Duration(delay))
		},
	}
	return k.keep(h.hook)
}

// withdraw tells held exporters to go, and when they have gone runs teardown. A failure of it is only told:
// there is nothing better to be done about it.
func (a *announcer) withdraw() {
	a.endKeepers()
	s := a.base.again(a.env())
	for _, dir := range s.Export {
		e := entry{name: teardown, path: filepath.Join(dir, teardown), dir: dir}
		if _, err := s.runTeardown(e); err != nil {
			s.Log.Error("teardown failed", "problem", err.Error())
		}
	}
}

// endKeepers ends all held exporters at once and waits for them.
func (a *announcer) endKeepers() {
	a.mu.Lock()
	keepers := a.keepers
	a.keepers = nil
	a.mu.Unlock()
	for _, k := range keepers {
		k.end()
	}
	for _, k := range keepers {
		<-k.ended
	}
}

// exporters lists the held exporters for status.
func (a *announcer) exporters() []control.ExporterStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []control.ExporterStatus{}
	for _, k := range a.keepers {
		list = append(list, control.ExporterStatus{Path: k.entry.path, PID: k.pid()})
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
