package discovery_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func TestReasonIsFitToBeShown(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"\tno\r\nroute \x1b[31mto\u202e host ": "no route [31mto host",
		"cannot reach postgres://u:p@db/x: refused": "cannot reach postgres://xxxxx@db/x: refused",
		`dial "amqp://u:p@ss@mq": refused`:          `dial "amqp://xxxxx@mq": refused`,
		"redis://:p/w@db is down":                   "redis://xxxxx@db is down",
		"mail me@example.org, see http://h/a":       "mail me@example.org, see http://h/a",
		"bad \xff byte":                             "bad \ufffd byte",
		strings.Repeat("ä", 200):                    strings.Repeat("ä", 126) + "…",
	} {
		in, err := discovery.Instance{Service: "web", State: discovery.Failing, Reason: text}.Normalize()
		require.NoError(t, err)
		require.Equal(t, want, in.Reason)
		require.LessOrEqual(t, len(in.Reason), discovery.MaxReason)
		require.True(t, utf8.ValidString(in.Reason))
	}
	in, err := discovery.Instance{Service: "web", Reason: "of before"}.Normalize()
	require.NoError(t, err)
	require.Empty(t, in.Reason, "it passes")
}
