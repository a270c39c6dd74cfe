package sdnotify

import (
	"errors"
	"time"
)

// Socket receives the messages of sd_notify(3), which Linux alone has.
type Socket struct {
	Accept func(pid int) bool // never asked
}

// Listen gives a socket on which nothing arrives.
func Listen() *Socket { return &Socket{} }

// FD is -1.
func (n *Socket) FD() int { return -1 }

// Environ is nothing.
func (n *Socket) Environ() []string { return nil }

// Ready is 0.
func (n *Socket) Ready() int { return 0 }

// Valid is 0.
func (n *Socket) Valid() time.Duration { return 0 }

// Close does nothing.
func (n *Socket) Close() {}

// Tell fails.
func Tell(string, string) error { return errors.ErrUnsupported }

// Notify fails.
func Notify(string, string, time.Duration) error { return errors.ErrUnsupported }
