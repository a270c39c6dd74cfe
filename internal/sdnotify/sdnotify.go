// Package sdnotify speaks the protocol of sd_notify(3): a program says READY=1 and the like, in datagrams to the
// socket that NOTIFY_SOCKET names.
package sdnotify

import "strings"

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
