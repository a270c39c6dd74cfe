package driver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/envharness/envharness/discovery"
)

// ErrWantsCertificate is what a connection by TLS ends with whose server wants a certificate of the client, or another
// one than it was given.
var ErrWantsCertificate = errors.New("the server wants a certificate of the client that it trusts")

// handshakeError is what a TLS handshake ended with.
type handshakeError struct{ error }

func (e handshakeError) Unwrap() error { return e.error }

// Dial connects to an address within [discovery.ConnectTimeout], with TLS if config gives any for its host, and notes
// how it went.
func (d *Dials) Dial(ctx context.Context, network, address string, config func(host string) (*tls.Config, error)) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, discovery.ConnectTimeout)
	defer cancel()
	conn, err := d.dial(limited, network, address, config)
	if err == nil || ctx.Err() == nil {
		d.Note(address, err)
	}
	return conn, err
}

func (d *Dials) dial(ctx context.Context, network, address string, config func(host string) (*tls.Config, error)) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = "localhost" // a unix socket's
	}
	settings, err := config(host)
	if err != nil {
		return nil, err
	}
	conn, err := discovery.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if settings == nil {
		return d.Watch(conn, address), nil
	}
	secure, err := d.Secure(address, settings, func(settings *tls.Config) (net.Conn, error) {
		secure := tls.Client(conn, settings)
		return secure, secure.HandshakeContext(ctx)
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// Secure shakes hands with a server by TLS. It marks the error for the hint, and notes when the server then ends the
// connection for want of a certificate: in TLS 1.3 that follows the handshake, and a server may hang up before its word
// of that has come.
func (d *Dials) Secure(address string, config *tls.Config, handshake func(*tls.Config) (net.Conn, error)) (net.Conn, error) {
	c := &secureConn{note: func(err error) { d.Note(address, err) }}
	config = config.Clone()
	if len(config.Certificates) == 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.wanted.Store(true)
			return new(tls.Certificate), nil // none
		}
	}
	conn, err := handshake(config)
	if err != nil {
		return nil, handshakeError{c.explain(err)}
	}
	c.Conn = conn
	return c, nil
}

// secureConn is a connection by TLS until its server has said something.
type secureConn struct {
	net.Conn
	wanted atomic.Bool // a certificate, and none was given
	note   func(error)
	known  bool // of the goroutine that reads
}

func (c *secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.known {
		c.known = true
		if explained := c.explain(err); errors.Is(explained, ErrWantsCertificate) {
			c.note(explained)
			return n, explained
		}
	}
	return n, err
}

// explain is ErrWantsCertificate too, if that is why.
func (c *secureConn) explain(err error) error {
	var alert *net.OpError
	isAlert := errors.As(err, &alert) && alert.Op == "remote error"
	wanted := c.wanted.Load()
	if isAlert && (wanted || strings.Contains(alert.Err.Error(), "certificate")) || wanted && hungUp(err) {
		return fmt.Errorf("%w: %w", ErrWantsCertificate, err)
	}
	return err
}
