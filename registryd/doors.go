package registryd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The times that a client has.
const (
	headerTime = 5 * time.Second  // for a request's head, and for shaking hands
	idleTime   = 2 * time.Minute  // between requests
	stuckTime  = 20 * time.Second // for taking what it asked for
)

// door is one listener and who comes in by it.
type door struct {
	net.Listener
	name   string // as Options.Listen has it
	local  bool   // loopback or a unix socket: nobody else reaches it
	unix   bool
	secure bool // TLS
	bridge string
}

// doors are all listeners of a server. Those of bridges come and go with the bridges.
type doors struct {
	options Options
	fixed   []*door
	guests  *guests
	bridges *bridges // nil without Options.Containers

	end  context.CancelFunc // of looking for bridges
	wait sync.WaitGroup
}

// openDoors listens at all addresses, or at none.
func openDoors(options Options) (_ *doors, err error) {
	d := &doors{options: options, guests: newGuests()}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	tls, err := serverTLS(options)
	if err != nil {
		return nil, err
	}
	for _, listener := range options.Listeners {
		d.fixed = append(d.fixed, d.admit(&door{Listener: listener, name: listener.Addr().String()}, tls))
	}
	for _, address := range options.Listen {
		listener, err := listen(address)
		if err != nil {
			return nil, listenError(address, err)
		}
		d.fixed = append(d.fixed, d.admit(&door{Listener: listener, name: address}, tls))
	}
	for _, door := range d.fixed {
		if err := options.allows(door); err != nil {
			return nil, err
		}
	}
	if options.Containers {
		d.bridges = &bridges{port: d.port(), named: options.Bridges, log: options.Log, open: map[bridgeAddress]*door{}}
	}
	return d, nil
}

func listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	return listenUnix(path)
}

// listenUnix makes a socket for its user and group. One that a killed process left is replaced, one that is
// served is not.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, unix.ECONNREFUSED) { // somebody serves there, even if not us
			return nil, unix.EADDRINUSE
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		controlErr := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o660) }) // before others can see it
		return errors.Join(controlErr, err)
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

func listenError(address string, err error) error {
	e := &Error{Problem: "cannot listen at " + address, Err: err}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		e.Next = "another process listens there: stop it, or give another address by --listen"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		e.Next = "this machine has no such address"
	}
	return e
}

// admit notes who comes in by a door.
func (d *doors) admit(door *door, tls *certificates) *door {
	switch address := door.Addr().(type) {
	case *net.UnixAddr:
		door.unix, door.local = true, true
	case *net.TCPAddr:
		door.local = address.IP.IsLoopback()
		door.secure = tls != nil
	}
	door.Listener = &countedListener{Listener: door.Listener, guests: d.guests}
	if door.secure {
		door.Listener = tls.listener(door.Listener)
	}
	return door
}

// allows refuses a door that strangers reach, unless it asks for credentials under TLS.
func (o Options) allows(door *door) error {
	if door.local || o.Insecure || o.Auth && door.secure {
		return nil
	}
	missing := "--auth and a certificate (--cert, --key)"
	switch {
	case o.Auth:
		missing = "a certificate (--cert, --key)"
	case door.secure:
		missing = "--auth"
	}
	return &Error{
		Problem: fmt.Sprintf("%s is reached from other machines and has no %s", door.name, missing),
		Next:    "add it, or say --insecure if everyone who reaches that address may read and write; for this machine's containers say --containers instead",
	}
}

// port is that of the first TCP address.
func (d *doors) port() int {
	for _, door := range d.fixed {
		if address, ok := door.Addr().(*net.TCPAddr); ok {
			return address.Port
		}
	}
	return DefaultPort
}

func (d *doors) addresses() []string {
	var all []string
	for _, door := range d.fixed {
		if door.unix {
			all = append(all, "unix:"+door.Addr().String())
		} else {
			all = append(all, door.Addr().String())
		}
	}
	return all
}

// serve lets server answer at all doors. A fixed door that breaks is told to fail.
func (d *doors) serve(server *http.Server, fail func(error)) {
	ctx, end := context.WithCancel(context.Background())
	d.end = end
	for _, door := range d.fixed {
		d.wait.Go(func() {
			if err := server.Serve(door); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
				fail(fmt.Errorf("cannot accept at %s: %w", door.name, err))
			}
		})
	}
	if d.bridges != nil {
		d.wait.Go(func() {
			d.bridges.follow(ctx, func(door *door) {
				door.Listener = &countedListener{Listener: door.Listener, guests: d.guests}
				d.wait.Go(func() { _ = server.Serve(door) }) // until the bridge is gone
			})
		})
	}
}

func (d *doors) close() {
	if d.end != nil {
		d.end()
	}
	for _, door := range d.fixed {
		door.Close()
	}
	d.wait.Wait()
}

// newHTTPServer bounds what a client can hold up. Watches have no time limit, so there is none for answers as
// a whole: handlers set one for each write.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250, // each may hold a megabyte and a half
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     stuckTime,
		},
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(context.Background(), doorKey{}, l)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong is no news
	}
}

type doorKey struct{}

// throughLoopback is the door of requests that came by none: from a test, or a program that has the Server as
// its handler.
var throughLoopback = &door{name: "loopback", local: true}

// doorOf is where a request came in.
func doorOf(r *http.Request) *door {
	if door, ok := r.Context().Value(doorKey{}).(*door); ok {
		return door
	}
	return throughLoopback
}

// The most connections, and a peer's share of them.
const (
	mostConnections     = 8192
	mostConnectionsEach = mostConnections / 4
)

// guests counts the connections of all doors.
type guests struct {
	most, each int

	lock   sync.Mutex
	all    int
	byPeer map[string]int
}

// newGuests leaves half of the process's descriptors to etcd.
func newGuests() *guests {
	most := mostConnections
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = int(min(uint64(most), uint64(limit.Cur)/2))
	}
	return &guests{most: most, each: max(1, most*mostConnectionsEach/mostConnections), byPeer: map[string]int{}}
}

func (g *guests) enter(peer string) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.all >= g.most || g.byPeer[peer] >= g.each {
		return false
	}
	g.all++
	g.byPeer[peer]++
	return true
}

func (g *guests) leave(peer string) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.all--
	if g.byPeer[peer]--; g.byPeer[peer] == 0 {
		delete(g.byPeer, peer)
	}
}

// count is how many connections there are.
func (g *guests) count() int {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.all
}

// countedListener closes connections that are too many.
type countedListener struct {
	net.Listener
	guests *guests
}

func (l *countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(conn.RemoteAddr().String())
		if l.guests.enter(peer) {
			return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.guests.leave(peer) })}, nil
		}
		conn.Close()
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// peerOf names who is at the other end of a connection, without the port: for IPv6 the network of 64 bits,
// which is one machine's.
func peerOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "unix"
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	address = address.Unmap().WithZone("")
	if network, err := address.Prefix(64); address.Is6() && !address.IsLoopback() && err == nil {
		return network.String()
	}
	return address.String()
}

func joinPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
