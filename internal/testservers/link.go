package testservers

import (
	"net"
	"sync"
	"testing"
)

// Link is a way to a server that a test can cut: then nothing passes in either direction, connections
// stay open and new ones get no answer, as when a cable is out. After Mend all goes on, with what was
// under way.
type Link struct {
	Address string // where to connect

	listener net.Listener
	wait     sync.WaitGroup

	lock    sync.Mutex
	target  string
	open    chan struct{} // closed while the link is up
	conns   map[net.Conn]bool
	stopped bool
}

// NewLink makes a link to an address; it is gone at the end of the test.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{
		Address:  listener.Addr().String(),
		target:   target,
		listener: listener,
		open:     make(chan struct{}),
		conns:    map[net.Conn]bool{},
	}
	close(l.open)
	l.wait.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// Aim lets new connections go to another server.
func (l *Link) Aim(target string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.target = target
}

// aim is where connections go.
func (l *Link) aim() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.target
}

// Drop closes the connections that there are, as a server does that is killed. New ones go where it aims.
func (l *Link) Drop(testing.TB) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
}

// Cut lets nothing pass until Mend.
func (l *Link) Cut(testing.TB) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.open = make(chan struct{})
}

// Mend lets all pass again.
func (l *Link) Mend(testing.TB) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.mend()
}

func (l *Link) mend() {
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

// up blocks while the link is cut.
func (l *Link) up() {
	l.lock.Lock()
	open := l.open
	l.lock.Unlock()
	<-open
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.wait.Go(func() { l.carry(near) })
	}
}

// carry joins a connection with one to the server.
func (l *Link) carry(near net.Conn) {
	defer near.Close()
	if !l.keep(near) {
		return
	}
	defer l.forget(near)
	l.up()
	far, err := net.Dial("tcp", l.aim())
	if err != nil {
		return
	}
	defer far.Close()
	if !l.keep(far) {
		return
	}
	defer l.forget(far)
	var back sync.WaitGroup
	back.Go(func() { l.copy(near, far) })
	l.copy(far, near)
	back.Wait()
}

// copy carries bytes in one direction until either end closes, which the other then sees too.
func (l *Link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		l.up()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *Link) keep(conn net.Conn) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.conns[conn] = true
	return !l.stopped
}

func (l *Link) forget(conn net.Conn) {
	l.lock.Lock()
	defer l.lock.Unlock()
	delete(l.conns, conn)
}

func (l *Link) close() {
	l.listener.Close()
	l.lock.Lock()
	l.stopped = true
	l.mend()
	for conn := range l.conns {
		conn.Close()
	}
	l.lock.Unlock()
	l.wait.Wait()
}
