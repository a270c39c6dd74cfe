package listen

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

// Client is who is at the other end of a connection. It is the same pointer for all requests of one connection.
type Client struct {
	// Peer names who it is, for counts and limits: "loopback", an address, the network of 64 bits of an IPv6
	// address, which is one machine's, or the user ID at a unix socket.
	Peer string

	Local  bool // on this machine: it came by loopback or by a unix socket
	Unix   bool // by a unix socket
	Secure bool // by TLS
}

// loopbackPeer is all of 127.0.0.0/8 and ::1: one machine has 16 million addresses there.
const loopbackPeer = "loopback"

type connKey struct{}

// inProcess is the client of requests that came by no connection: from a test, or a program that has the server
// as its handler.
var inProcess = &Client{Peer: loopbackPeer, Local: true}

// ConnContext is that of an http.Server: it notes who is at the other end.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// ClientOf is whom a request's context is from.
func ClientOf(ctx context.Context) *Client {
	if own, ok := ctx.Value(connKey{}).(*conn); ok {
		return own.client
	}
	return inProcess
}

// conn is a counted connection.
type conn struct {
	net.Conn
	client *Client
	leave  func()
	heard  atomic.Bool // a request reached the handler
}

func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// peerOf is Client.Peer of a TCP address.
func peerOf(remote net.Addr) string {
	end, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return "at " + remote.String()
	}
	address := end.Addr().Unmap().WithZone("")
	if address.IsLoopback() {
		return loopbackPeer
	}
	if network, err := address.Prefix(64); address.Is6() && err == nil {
		return network.String()
	}
	return address.String()
}
