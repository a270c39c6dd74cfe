package discovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeNet resolves every name to addresses. One in answers is reached, or fails, after its time; the others are
// black holes.
type fakeNet struct {
	addresses []netip.Addr
	answers   map[string]answer

	lock  sync.Mutex
	conns []*fakeConn
}

type answer struct {
	after time.Duration
	err   error
}

type fakeConn struct {
	net.Conn
	address string
	closed  atomic.Bool
}

func (c *fakeConn) Close() error { c.closed.Store(true); return nil }

func (f *fakeNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := dialer{
		lookup:  func(context.Context, string, string) ([]netip.Addr, error) { return f.addresses, nil },
		connect: f.connect,
	}
	return d.dial(ctx, network, address)
}

func (f *fakeNet) connect(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	one, answers := f.answers[host]
	if !answers {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(one.after)
	if one.err != nil {
		return nil, one.err
	}
	conn := &fakeConn{address: address}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.conns = append(f.conns, conn)
	return conn, nil
}

func addresses(text ...string) (all []netip.Addr) {
	for _, one := range text {
		all = append(all, netip.MustParseAddr(one))
	}
	return all
}

func TestDial(t *testing.T) {
	refused := errors.New("connection refused")
	for name, c := range map[string]struct {
		addresses []netip.Addr
		answers   map[string]answer
		reached   string // empty: none
		after     time.Duration
	}{
		"a black hole first": {
			addresses("192.0.2.1", "192.0.2.2"), map[string]answer{"192.0.2.2": {}}, "192.0.2.2", nextAddress,
		},
		"five black holes first": {
			addresses("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"),
			map[string]answer{"192.0.2.6": {}}, "192.0.2.6", 5 * nextAddress,
		},
		"refused, then the next at once": {
			addresses("192.0.2.1", "192.0.2.2"), map[string]answer{"192.0.2.1": {err: refused}, "192.0.2.2": {}}, "192.0.2.2", 0,
		},
		"IPv6 is broken, and the other family is second": {
			addresses("2001:db8::1", "2001:db8::2", "192.0.2.1"), map[string]answer{"192.0.2.1": {}}, "192.0.2.1", nextAddress,
		},
		"a slow one is not given up": {
			addresses("192.0.2.1", "192.0.2.2"), map[string]answer{"192.0.2.1": {after: time.Second}}, "192.0.2.1", time.Second,
		},
		"all refused": {
			addresses("192.0.2.1", "192.0.2.2"), map[string]answer{"192.0.2.1": {err: refused}, "192.0.2.2": {err: refused}}, "", 0,
		},
		"all black holes": {
			addresses("192.0.2.1", "192.0.2.2"), nil, "", ConnectTimeout,
		},
		"one mapped address": {
			addresses("::ffff:192.0.2.1"), map[string]answer{"192.0.2.1": {}}, "192.0.2.1", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), ConnectTimeout)
				defer cancel()
				begun := time.Now()
				conn, err := (&fakeNet{addresses: c.addresses, answers: c.answers}).dial(ctx, "tcp", "registry.example:80")
				require.Equal(t, c.after, time.Since(begun))
				if c.reached == "" {
					require.Error(t, err)
					require.NotContains(t, err.Error(), "\n")
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.reached+":80", conn.(*fakeConn).address)
			})
		})
	}
}

// A connection that comes when another was taken is closed.
func TestDialClosesTheLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &fakeNet{
			addresses: addresses("192.0.2.1", "192.0.2.2"),
			answers:   map[string]answer{"192.0.2.1": {after: 2 * nextAddress}, "192.0.2.2": {}},
		}
		_, err := network.dial(t.Context(), "tcp", "registry.example:80")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		network.lock.Lock()
		defer network.lock.Unlock()
		require.Len(t, network.conns, 2)
		require.Equal(t, []bool{false, true}, []bool{network.conns[0].closed.Load(), network.conns[1].closed.Load()})
	})
}

// Addresses and sockets need no resolver.
func TestDialLiterals(t *testing.T) {
	d := dialer{
		lookup: func(context.Context, string, string) ([]netip.Addr, error) { panic("no name") },
		connect: func(_ context.Context, network, address string) (net.Conn, error) {
			return &fakeConn{address: network + " " + address}, nil
		},
	}
	for network, address := range map[string]string{"tcp": "[::1]:80", "tcp4": "127.0.0.1:80", "unix": "/run/consul.sock"} {
		conn, err := d.dial(t.Context(), network, address)
		require.NoError(t, err)
		require.Equal(t, network+" "+address, conn.(*fakeConn).address)
	}
}
