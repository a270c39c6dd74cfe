package text

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "340µs": 340 * time.Microsecond, "12.3ms": 12345 * time.Microsecond, "1.25s": 1254 * time.Millisecond,
		"1s": time.Second, "1m": time.Minute, "2m10s": 130 * time.Second, "1h": time.Hour, "1h30m": 90 * time.Minute, "48h": 48 * time.Hour,
		"10m": 10 * time.Minute, "1h0m5s": time.Hour + 5*time.Second,
	} {
		require.Equal(t, want, Duration(d))
	}
}

func TestShorten(t *testing.T) {
	require.Equal(t, "abc", Shorten("abc", 3))
	require.Equal(t, "ab…", Shorten("abcd", 3))
	require.Equal(t, "漢…", Shorten("漢字漢", 4))
	require.Equal(t, "…", Shorten("漢字", 2))
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{"": "''", "/a/b.c-d": "/a/b.c-d", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		require.Equal(t, want, ShellQuote(word))
	}
}

func TestReasonIsTheCauseAlone(t *testing.T) {
	_, err := os.Open("/nowhere/at/all")
	require.Equal(t, "no such file or directory", Reason(err))
	require.Equal(t, "boom", Reason(errors.New("boom")))
}

func TestOneLine(t *testing.T) {
	for given, want := range map[string]string{
		"":                                  "",
		"plain ünï 日本 |\u00a0|":             "plain ünï 日本 |\u00a0|",
		"a\nb\r\tc\x1b[31m\x00\x7f\u009b":   "a�b��c�[31m���",
		"\u202egnp.exe\u202c \u2066x\u2069": "�gnp.exe� �x�",
		"\u200e\u200f\u061c\u200b\ufeff":    "�����",
		"\u2028\u2029\u00ad\U000e0041":      "����",
		"bad \xff":                          "bad �",
	} {
		require.Equal(t, want, OneLine(given), "%q", given)
	}
}
