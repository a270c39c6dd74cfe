package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnchanged: a mapping with pages of the process's own would lose them.
func TestUnchanged(t *testing.T) {
	smaps := "00400000-00c5b000 r-xp 00000000 fe:00 106104                     /usr/bin/envdiscover\n" +
		"Size:               8556 kB\nAnonymous:             0 kB\nVmFlags: rd ex mr mw me sd \n" +
		"00c5b000-0164a000 r--p 0085b000 fe:00 106104                     /usr/bin/envdiscover\n" +
		"Anonymous:             4 kB\n" +
		"0164a000-016c0000 rw-p 0124a000 fe:00 106104                     /usr/bin/envdiscover\n" +
		"Anonymous:             0 kB\n" +
		"016c0000-03706000 r--p 00000000 00:00 0 \n" +
		"Anonymous:             0 kB\n" +
		"7fff0000-7fff1000 r-xp 00000000 00:00 0                          [vdso]\n" +
		"Anonymous:             0 kB\n"
	require.Equal(t, []mapping{{0x400000, 0xc5b000}}, unchanged([]byte(smaps)))
}

// TestReleasePages: a program goes on after it.
func TestReleasePages(t *testing.T) {
	before := fileBacked(t)
	releasePages()
	require.Less(t, fileBacked(t), before)
}

// fileBacked is what this process has resident of files, in kB.
func fileBacked(t *testing.T) (kilobytes int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kilobytes, err = strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
		}
	}
	return kilobytes
}
