package listen

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lookInterval is how often this machine's bridges are looked for: networks come and go with `docker network`.
const lookInterval = 2 * time.Second

// bridges keeps a listener on every Docker bridge of this machine. Which ones they are is read from their
// names and not asked of the engine, whose socket would make this process as powerful as root.
type bridges struct {
	port        int
	named       []string
	log         *slog.Logger
	connections *connections

	open   map[bridgeAddress]*listener
	warned map[bridgeAddress]bool
}

// bridgeAddress is this machine's address on a bridge, which is the gateway of the containers there.
type bridgeAddress struct {
	bridge string
	prefix netip.Prefix // the address and the subnet's length
}

// follow opens and closes listeners as bridges come and go, until ctx ends.
func (b *bridges) follow(ctx context.Context, serve func(*listener)) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		b.look(serve)
		select {
		case <-ctx.Done():
			for _, bridge := range b.open {
				bridge.Close()
			}
			return
		case <-ticker.C:
		}
	}
}

func (b *bridges) look(serve func(*listener)) {
	found := b.find()
	for at, bridge := range b.open {
		if !slices.Contains(found, at) {
			b.log.Info("no longer serving the containers of a bridge", "bridge", at.bridge, "address", at.prefix.Addr())
			bridge.Close()
			delete(b.open, at)
		}
	}
	for _, at := range found {
		if b.open[at] == nil {
			b.listen(at, serve)
		}
	}
}

func (b *bridges) listen(at bridgeAddress, serve func(*listener)) {
	address := joinPort(at.prefix.Addr().String(), b.port)
	inner, err := listenOnDevice(address, at.bridge)
	if err != nil {
		if !b.warned[at] {
			b.log.Warn("cannot serve the containers of a bridge, trying again", "bridge", at.bridge, "address", address, "error", err)
		}
		b.warned[at] = true
		return
	}
	delete(b.warned, at)
	b.log.Info("serving the containers of a bridge, all of which share one trust domain", "bridge", at.bridge, "address", address)
	opened := &listener{
		Listener: &subnetListener{inner, at.prefix.Masked()}, name: address, connections: b.connections, log: b.log,
	}
	b.open[at] = opened
	serve(opened)
}

// find gives this machine's addresses on Docker bridges. Link-local ones are no container's gateway.
func (b *bridges) find() []bridgeAddress {
	var found []bridgeAddress
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, device := range interfaces {
		if !b.isDocker(device.Name) || !isBridge(device.Name) {
			continue
		}
		addresses, err := device.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err == nil && !prefix.Addr().IsLinkLocalUnicast() {
				found = append(found, bridgeAddress{device.Name, prefix})
			}
		}
	}
	return found
}

// isDocker knows the names that Docker gives: docker0, and br- with twelve hexadecimal digits of a network.
func (b *bridges) isDocker(name string) bool {
	digits, found := strings.CutPrefix(name, "br-")
	return name == "docker0" || slices.Contains(b.named, name) ||
		found && len(digits) == 12 && strings.Trim(digits, "0123456789abcdef") == ""
}

// subnetListener takes only peers of one subnet.
type subnetListener struct {
	net.Listener
	subnet netip.Prefix
}

func (l *subnetListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err == nil && l.subnet.Contains(peer.Addr().Unmap()) {
			return conn, nil
		}
		conn.Close()
	}
}
