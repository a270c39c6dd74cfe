package driver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
)

// ErrSpeaksTLS is what reading from a server ends with that speaks TLS, by a connection without.
var ErrSpeaksTLS = errors.New("the server speaks TLS")

// handshakeTime bounds the handshake that finds out whether a server speaks TLS.
const handshakeTime = time.Second

// WatchPlain looks at what a server first says on a connection without TLS: ErrSpeaksTLS takes the place of an answer,
// or of a hang-up without any, by which it shows that it speaks TLS.
func WatchPlain(conn net.Conn) net.Conn {
	return &plainConn{Conn: conn, hangsUp: func() bool { return handshakes(conn.RemoteAddr()) }, heard: func(bool) {}}
}

type plainConn struct {
	net.Conn
	hangsUp func() bool    // reports whether a server that hangs up speaks TLS
	heard   func(tls bool) // is told what an answer shows
	known   bool           // of the goroutine that reads
}

func (c *plainConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.known || n == 0 && !hungUp(err) {
		return n, err
	}
	c.known = true
	tls := n > 0 && isTLS(p[:n]) || n == 0 && c.hangsUp()
	if n > 0 || tls {
		c.heard(tls)
	}
	if tls {
		return 0, ErrSpeaksTLS
	}
	return n, err
}

// isTLS reports whether an answer is a TLS alert, or that of an HTTPS server to HTTP: Go's and nginx's words.
func isTLS(answer []byte) bool {
	if bytes.HasPrefix(answer, []byte{0x15, 0x03}) {
		return true
	}
	status, _, _ := bytes.Cut(answer, []byte("\r\n"))
	return bytes.HasPrefix(status, []byte("HTTP/1.")) && bytes.Contains(status, []byte(" 400 ")) &&
		(bytes.Contains(answer, []byte("HTTPS server")) || bytes.Contains(answer, []byte("HTTPS port")))
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// handshakes reports whether a server answers a TLS handshake, be it with a refusal of its own.
func handshakes(address net.Addr) bool {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	conn, err := discovery.Dial(ctx, address.Network(), address.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) // nothing is sent on it
	var alert *net.OpError
	return err == nil || errors.As(err, &alert) && alert.Op == "remote error"
}

// speaksPlain reports whether a TLS handshake failed because the server's answer is no TLS.
func speaksPlain(err error) bool { return errors.As(err, new(tls.RecordHeaderError)) }

// mayBePlain reports whether a TLS handshake ended as that with a server without TLS may end.
func mayBePlain(err error) bool { return errors.As(err, new(handshakeError)) && hungUp(err) }
