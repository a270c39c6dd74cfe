package node

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ReserveBytes stay free for etcd itself: it ends the process when its log cannot grow, and leases that run out
// make it grow, too.
const ReserveBytes = 3 * walSegmentBytes

// disk is the one that a directory is on.
type disk struct{ directory string }

// free is how many bytes can be written; 0 also when it cannot be told.
func (d disk) free() uint64 {
	var stat unix.Statfs_t
	if unix.Statfs(d.directory, &stat) != nil {
		return 0
	}
	return stat.Bavail * uint64(stat.Bsize)
}

func (d disk) full() bool { return d.free() < ReserveBytes }

var errLocked = errors.New("it is in use")

// lockDirectory makes this process the only one that uses a directory, until the file is closed.
func lockDirectory(directory string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(directory, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, err
	}
	return file, nil
}
