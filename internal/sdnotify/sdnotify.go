// Package sdnotify speaks the protocol of sd_notify(3): a program says READY=1 and the like, in datagrams to the
// socket that NOTIFY_SOCKET names.
package sdnotify

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Variable names the socket that a program is to tell its state.
const Variable = "NOTIFY_SOCKET"

// SaysReady tells whether a message has the line READY=1.
func SaysReady(message string) bool {
	for line := range strings.Lines(message) {
		if strings.TrimSuffix(line, "\n") == "READY=1" {
			return true
		}
	}
	return false
}

// ValidFor is the time of a line VALID_USEC=N, how long what a program printed is good. It is false for a message
// without one, and for a time that is none.
func ValidFor(message string) (valid time.Duration, said bool) {
	for line := range strings.Lines(message) {
		number, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "VALID_USEC=")
		if !found {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && n > 0 && n <= math.MaxInt64/uint64(time.Microsecond) {
			valid, said = time.Duration(n)*time.Microsecond, true
		}
	}
	return valid, said
}
