package service

import (
	"context"
	"time"

	"github.com/envharness/envharness/discovery"
)

// The defaults of a Check.
const (
	DefaultInterval = 5 * time.Second
	DefaultTimeout  = 2 * time.Second
	DefaultRise     = 2
	DefaultFall     = 3
)

// reasonInterval is the least time from one announcement of why a check fails to the next, while it goes on failing
// with other words: each of them is a write, and news for everybody who watches.
const reasonInterval = 30 * time.Second

// Check looks again and again how an instance is. Zero fields are the defaults.
type Check struct {
	Probe    Probe
	Interval time.Duration // from the start of one probe to the next
	Timeout  time.Duration // of one probe
	Rise     int           // so many successes in a row make it passing
	Fall     int           // so many failures in a row make it failing
}

// run probes until ctx ends and tells each change of state, and from time to time another reason for failing. The
// reason is the last probe's error.
func (c Check) run(ctx context.Context, changed func(state discovery.State, reason error)) {
	c = c.withDefaults()
	h := health{state: discovery.Starting, rise: c.Rise, fall: c.Fall}
	probe := c.Probe.punctual()
	told, since := "", time.Time{}
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	for {
		err := probe.within(ctx, c.Timeout)
		if ctx.Err() != nil {
			return
		}
		news, words := h.note(err == nil), wordsOf(err)
		if h.state == discovery.Failing && words != "" && words != told && time.Since(since) >= reasonInterval {
			news = true
		}
		if news {
			changed(h.state, err)
			told, since = words, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func wordsOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c Check) withDefaults() Check {
	if c.Interval <= 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Rise <= 0 {
		c.Rise = DefaultRise
	}
	if c.Fall <= 0 {
		c.Fall = DefaultFall
	}
	return c
}

// health is what the probes so far say.
type health struct {
	state      discovery.State
	rise, fall int

	good bool // the last probe was
	row  int  // so many as the last one in a row
}

// note takes a probe's result and reports whether the state has changed.
func (h *health) note(good bool) bool {
	if good != h.good {
		h.good, h.row = good, 0
	}
	h.row++
	state := h.state
	switch {
	case good && h.row >= h.rise:
		state = discovery.Passing
	case !good && h.row >= h.fall:
		state = discovery.Failing
	}
	changed := state != h.state
	h.state = state
	return changed
}
