package node

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ReserveBytes stay free for etcd itself: it ends the process when its log cannot grow, and leases that run out
// make it grow, too.
const ReserveBytes = 3 * walSegmentBytes

// disk is the one that a directory is on.
type disk struct {
	directory string

	lock    sync.Mutex
	asked   time.Time // when full last asked the kernel
	wasFull bool
}

// askedFor is how long an answer of the kernel's is taken for that of now: asking with each write costs a twentieth
// of it, and no disk takes ReserveBytes within.
const askedFor = 5 * time.Millisecond

// free is how many bytes can be written; 0 also when it cannot be told.
func (d *disk) free() uint64 {
	var stat unix.Statfs_t
	if unix.Statfs(d.directory, &stat) != nil {
		return 0
	}
	return stat.Bavail * uint64(stat.Bsize)
}

func (d *disk) full() bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	if now := time.Now(); now.Sub(d.asked) > askedFor {
		d.asked, d.wasFull = now, d.free() < ReserveBytes
	}
	return d.wasFull
}

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
