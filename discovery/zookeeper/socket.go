package zookeeper

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// socket is a connection that looks at the handshake on it: the library neither tells which time-out the
// server granted nor bounds the handshake with a server that stands still.
type socket struct {
	net.Conn
	limit time.Time   // of the handshake
	noted func(error) // how the handshake went
	heard *atomic.Int64

	head    []byte // of the server's answer, as far as it has come
	granted time.Duration
	shaken  bool // the handshake is over
}

// The server's answer: its length, the protocol's version, the time-out in milliseconds, the session.
const (
	grantedAt = 8
	sessionAt = 12
	headSize  = 20
)

func (k *socket) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	if n > 0 {
		k.heard.Store(time.Now().UnixNano())
	}
	if !k.shaken {
		k.shake(p[:n], err)
	}
	return n, err
}

func (k *socket) shake(part []byte, err error) {
	k.head = append(k.head, part...)
	if len(k.head) >= headSize {
		k.shaken = true
		k.granted = time.Duration(binary.BigEndian.Uint32(k.head[grantedAt:])) * time.Millisecond
		k.noted(nil) // be it that an old session has expired
		return
	}
	if err != nil {
		k.shaken = true
		k.noted(fmt.Errorf("connected, but it gave no session: %w", err))
	}
}

// SetReadDeadline does not let the handshake take longer than its limit.
func (k *socket) SetReadDeadline(t time.Time) error {
	if !k.shaken && (t.IsZero() || t.After(k.limit)) {
		t = k.limit
	}
	return k.Conn.SetReadDeadline(t)
}
