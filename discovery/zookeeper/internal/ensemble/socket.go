package ensemble

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
	young bool // the server may have a younger history than the session

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

// The library's greeting: its length, the protocol's version, the last change that it has seen.
const (
	seenAt      = 8
	greetedSize = 16
)

// Write sends, to a server that may have a younger history, the greeting without the last change that was seen:
// a server that has lost its data closes the connection of a client that has seen more than it has, without a
// word, and only tells others that their session is over. What the session then reads may be older than what it
// read before, as it may be over the shared connection.
func (k *socket) Write(p []byte) (int, error) {
	if k.young && len(p) >= greetedSize {
		clear(p[seenAt:greetedSize])
		k.young = false
	}
	return k.Conn.Write(p)
}

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
