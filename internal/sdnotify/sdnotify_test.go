package sdnotify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// messages are what programs send, and what they send by mistake.
var messages = []string{
	"", "READY=1", "READY=1\n", "READY=0", "READY=1 ", " READY=1", "ready=1", "READY=1\r\n", "XREADY=1", "READY=1\x00", "READY=10",
	"STATUS=up\nREADY=1\nMAINPID=4", "STATUS=READY=1", "\n\nREADY=1\n\n", "BARRIER=1", "READY=1\nVALID_USEC=5000000",
	"VALID_USEC=1", "VALID_USEC=0", "VALID_USEC=-1", "VALID_USEC=+1", "VALID_USEC=1e6", "VALID_USEC=", "VALID_USEC=9223372036854775",
	"VALID_USEC=9223372036854776", "VALID_USEC=18446744073709551616", "VALID_USEC=7\nVALID_USEC=x", "VALID_USEC=7\nVALID_USEC=8",
	"\xff\xfe", "READY=1\n\xff", "=", "=1\n=", strings.Repeat("A", 5000) + "\nREADY=1",
}

// FuzzMessage compares what is read of a message with its lines, one by one.
func FuzzMessage(f *testing.F) {
	for _, message := range messages {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		lines := strings.Split(message, "\n")
		require.Equal(t, slices.Contains(lines, "READY=1"), SaysReady(message), "%q", message)
		valid, said := ValidFor(message)
		require.Equal(t, said, valid > 0, "%q", message)
		require.Zero(t, valid%time.Microsecond, "%q", message)
		if said {
			require.True(t, slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "VALID_USEC=") }), "%q", message)
		}
	})
}

func TestValidFor(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"VALID_USEC=1":                             time.Microsecond,
		"READY=1\nVALID_USEC=5000000":              5 * time.Second,
		"VALID_USEC=7\nVALID_USEC=8":               8 * time.Microsecond,
		"VALID_USEC=7\nVALID_USEC=x":               7 * time.Microsecond,
		"VALID_USEC=9223372036854775":              9223372036854775 * time.Microsecond,
		"VALID_USEC=9223372036854776":              0, // no time.Duration
		"VALID_USEC=0":                             0,
		"VALID_USEC=-1":                            0,
		"VALID_USEC=1e6":                           0,
		" VALID_USEC=1":                            0,
		"STATUS=\nVALID_USEC=18446744073709551616": 0,
	} {
		valid, said := ValidFor(message)
		require.Equal(t, want, valid, "%q", message)
		require.Equal(t, want > 0, said, "%q", message)
	}
}
