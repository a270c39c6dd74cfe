package testservers

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// memoryDir is a directory until the end of the test like t.TempDir, in memory where there is room: a server that syncs
// what it writes waits for the disk, which all tests share, and no test's data need outlive the machine.
func memoryDir(t testing.TB) string {
	t.Helper()
	const memory, room = "/dev/shm", 1 << 30
	var has unix.Statfs_t
	if unix.Statfs(memory, &has) != nil || has.Bavail*uint64(has.Bsize) < room {
		return t.TempDir()
	}
	directory, err := os.MkdirTemp(memory, "envharness-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	return directory
}
