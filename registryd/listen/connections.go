package listen

import (
	"sync"

	"golang.org/x/sys/unix"
)

// The most connections, and a peer's share of them.
const (
	mostConnections     = 16384
	mostConnectionsEach = mostConnections / 4
)

// connections counts those of all listeners.
type connections struct {
	most, each int

	lock   sync.Mutex
	all    int
	byPeer map[string]int
}

// newConnections leaves half of the process's descriptors to etcd.
func newConnections() *connections {
	most := mostConnections
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = int(min(uint64(most), uint64(limit.Cur)/2))
	}
	return &connections{most: most, each: max(1, most*mostConnectionsEach/mostConnections), byPeer: map[string]int{}}
}

// enter counts one more of a peer, or reports that it is one too many.
func (c *connections) enter(peer string) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.all >= c.most || c.byPeer[peer] >= c.each {
		return false
	}
	c.all++
	c.byPeer[peer]++
	return true
}

func (c *connections) leave(peer string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.all--
	if c.byPeer[peer]--; c.byPeer[peer] == 0 {
		delete(c.byPeer, peer)
	}
}

func (c *connections) count() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.all
}
