// Package listen is where a registry is reached and by whom: TCP addresses, unix sockets, sockets that systemd
// opened, the bridges of this machine's containers, and their certificates.
//
// The common case:
//
//	listeners, err := listen.Open(listen.Options{Listen: []string{"127.0.0.1:7171"}})
//	...
//	listeners.Serve(&http.Server{Handler: h, ConnContext: listen.ConnContext}, fail)
//	listeners.Close()
//
// A handler learns by [ClientOf] who is at the other end.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/failure"
)

// Options say where to listen. All but Log may be left out.
type Options struct {
	// Listen are addresses as HOST:PORT, or unix:PATH.
	Listen []string

	// Listeners are open already. Close closes them.
	Listeners []net.Listener

	// Containers also serves the containers on this machine's Docker bridges, at the port of the first TCP
	// address, else at Port. Bridges are those that have names of their own.
	Containers bool
	Bridges    []string
	Port       int

	// Auth tells that every caller is asked for credentials, and Insecure that nobody needs to be: without
	// either, or without a certificate, an address that other machines reach is refused.
	Auth, Insecure bool

	// Cert and Key are PEM files, and CA is that of the clients' authority.
	Cert, Key, CA string

	Log *slog.Logger
}

// Listeners are all listeners of a server. Those of bridges come and go with the bridges.
type Listeners struct {
	fixed       []*listener
	connections *connections
	bridges     *bridges // nil without Options.Containers

	end  context.CancelFunc // of looking for bridges
	wait sync.WaitGroup
}

// Open listens at all addresses, or at none. The caller closes the Listeners.
func Open(options Options) (_ *Listeners, err error) {
	l := &Listeners{connections: newConnections()}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	certificates, err := readCertificates(options)
	if err != nil {
		return nil, err
	}
	for _, inner := range options.Listeners {
		l.add(inner, inner.Addr().String(), certificates, options.Log)
	}
	for _, address := range options.Listen {
		inner, err := open(address)
		if err != nil {
			return nil, openError(address, err)
		}
		l.add(inner, address, certificates, options.Log)
	}
	for _, fixed := range l.fixed {
		if err := options.allow(fixed); err != nil {
			return nil, err
		}
	}
	if options.Containers {
		l.bridges = &bridges{
			port: l.port(options.Port), named: options.Bridges, log: options.Log, connections: l.connections,
			open: map[bridgeAddress]*listener{}, warned: map[bridgeAddress]bool{},
		}
	}
	return l, nil
}

func open(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	return openUnix(path)
}

// Check tells what is wrong with addresses as HOST:PORT or unix:PATH, and with names of bridges. It opens nothing.
func Check(addresses, bridges []string) error {
	for _, address := range addresses {
		if err := checkAddress(address); err != nil {
			return failure.Misuse("write HOST:PORT, as 127.0.0.1:7171, or unix:PATH", "cannot listen at %q: %v", address, err)
		}
	}
	for _, name := range bridges {
		if !isInterface(name) {
			return failure.Misuse("see the names by: ip -brief link", "--bridge %q is no name of a network interface", name)
		}
	}
	return nil
}

func checkAddress(address string) error {
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		if path == "" {
			return errors.New("the path is missing")
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("there is no port, or no colon before it")
	}
	if _, err := net.LookupPort("tcp", port); port == "" || err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

// isInterface tells what the kernel takes for the name of an interface, dev_valid_name in net/core/dev.c.
func isInterface(name string) bool {
	return name != "" && len(name) < unix.IFNAMSIZ && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) })
}

func openError(address string, err error) error {
	e := &failure.Error{Problem: fmt.Sprintf("cannot listen at %s: %v", address, err), Err: err}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		e.Next = "another process listens there: stop it, or give another address by --listen"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		e.Next = "this machine has no such address"
	}
	return e
}

// add notes who comes in by a listener.
func (l *Listeners) add(inner net.Listener, name string, certificates *certificates, log *slog.Logger) {
	added := &listener{Listener: inner, name: name, connections: l.connections, log: log}
	switch address := inner.Addr().(type) {
	case *net.UnixAddr:
		added.unix, added.local = true, true
	case *net.TCPAddr:
		added.local = address.IP.IsLoopback()
		added.certificates = certificates
	}
	l.fixed = append(l.fixed, added)
}

// allow refuses a listener that other machines reach, unless it asks for credentials under TLS.
func (o Options) allow(l *listener) error {
	secure := l.certificates != nil
	if l.local || o.Insecure || o.Auth && secure {
		return nil
	}
	missing := "neither --auth nor a certificate (--cert, --key)"
	switch {
	case o.Auth:
		missing = "no certificate (--cert, --key)"
	case secure:
		missing = "no --auth"
	}
	return &failure.Error{
		Problem: fmt.Sprintf("%s is reached from other machines and has %s", l.name, missing),
		Next:    "add it, or say --insecure if everyone who reaches that address may read and write; for this machine's containers say --containers instead",
	}
}

// port is that of the first TCP address.
func (l *Listeners) port(otherwise int) int {
	for _, fixed := range l.fixed {
		if address, ok := fixed.Addr().(*net.TCPAddr); ok {
			return address.Port
		}
	}
	return otherwise
}

// Addresses are where the listeners are, as Options.Listen has them; bridges are not among them.
func (l *Listeners) Addresses() []string {
	var all []string
	for _, fixed := range l.fixed {
		if fixed.unix {
			all = append(all, "unix:"+fixed.Addr().String())
		} else {
			all = append(all, fixed.Addr().String())
		}
	}
	return all
}

// Connections is how many are open, of all listeners.
func (l *Listeners) Connections() int { return l.connections.count() }

// Serve lets server answer at all listeners, and returns. A fixed one that breaks is told to fail. The server's
// ConnContext must be this package's. Its Handler is wrapped.
func (l *Listeners) Serve(server *http.Server, fail func(error)) {
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	server.Handler = hearing(server.Handler)
	for _, fixed := range l.fixed {
		l.wait.Go(func() {
			if err := server.Serve(fixed.withTLS()); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
				fail(fmt.Errorf("cannot accept at %s: %w", fixed.name, err))
			}
		})
	}
	if l.bridges != nil {
		l.wait.Go(func() {
			l.bridges.follow(ctx, func(bridge *listener) {
				l.wait.Go(func() { _ = server.Serve(bridge) }) // until the bridge is gone
			})
		})
	}
}

// Close stops listening; open connections are the server's.
func (l *Listeners) Close() {
	if l.end != nil {
		l.end()
	}
	for _, fixed := range l.fixed {
		fixed.Close()
	}
	l.wait.Wait()
}

// listener is one listener and who comes in by it.
type listener struct {
	net.Listener
	name         string // as Options.Listen has it
	local        bool   // loopback or a unix socket: nobody else reaches it
	unix         bool
	certificates *certificates // nil without TLS
	connections  *connections
	log          *slog.Logger
	strayed      sync.Once
}

func (l *listener) withTLS() net.Listener {
	if l.certificates == nil {
		return l
	}
	return tls.NewListener(l, l.certificates.config())
}

// Accept closes connections that are too many, and those that come to a loopback address from elsewhere: with
// the kernel's route_localnet (ip-sysctl.rst) what other machines and containers send to 127.0.0.1 is let in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := l.client(inner)
		if l.local && !l.unix && client.Peer != loopbackPeer {
			l.strayed.Do(func() {
				l.log.Warn("refusing who comes to a loopback address from elsewhere: does the kernel's route_localnet need to be on?",
					"address", l.name, "peer", client.Peer)
			})
			inner.Close()
			continue
		}
		if l.connections.enter(client.Peer) {
			return &conn{Conn: inner, client: client, leave: sync.OnceFunc(func() { l.connections.leave(client.Peer) })}, nil
		}
		inner.Close()
	}
}

func (l *listener) client(c net.Conn) *Client {
	peer := peerOf(c.RemoteAddr())
	if l.unix {
		peer = unixPeer(c)
	}
	return &Client{Peer: peer, Local: l.local, Unix: l.unix, Secure: l.certificates != nil}
}

func joinPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
