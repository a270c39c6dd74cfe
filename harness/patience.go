package harness

import (
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/internal/text"
)

// patiently calls f, which may wait for somebody else: for the writer of a FIFO, for a file system that does not
// answer. It gives up when start-up is stopped, and when the time of --timeout or --deadline is over; f then waits
// on alone, until the process ends or is COMMAND.
func patiently[T any](s *startup, subject string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	began := time.Now()
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	expires, option := s.expiry(began)
	var over <-chan time.Time // never without a limit
	if !expires.IsZero() {
		over = time.After(time.Until(expires))
	}
	var nothing T
	select {
	case r := <-done:
		return r.value, r.err
	case <-s.children.Halted():
		return nothing, child.ErrStopped
	case <-over:
		return nothing, &Error{
			Subject: subject,
			Problem: "did not answer for " + text.Duration(time.Since(began)) + " (--" + option + " " + s.limitOf(option).String() + ")",
			Next:    "is it a FIFO that nobody writes to, or a file system whose server is away? --" + option + " gives it more time",
		}
	}
}
