package docker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/network"
)

// Why a service has no address.
var (
	errUnpublished = errors.New("the container does not publish this port")
	errLoopback    = errors.New("the container publishes this port on loopback only")
)

// candidate is an address that a container publishes a port at. The lowest rank is taken.
type candidate struct {
	netip.AddrPort
	rank int
}

// The ranks of candidates.
const (
	onHost        = iota // all addresses of the host, in the family of its own address
	onOne                // one address
	onOtherFamily        // all addresses of the host, in the other family
)

// publicAddress gives where everyone reaches a service of a container, the same each time.
func publicAddress(hostIP netip.Addr, c container, s service) (netip.AddrPort, error) {
	if c.hostNetwork {
		return netip.AddrPortFrom(hostIP, s.port), nil
	}
	private, ok := network.PortFrom(s.port, network.IPProtocol(s.protocol))
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("the engine has no port %d/%s", s.port, s.protocol)
	}
	var candidates []candidate
	why := errUnpublished
	for _, binding := range c.ports[private] {
		port, err := strconv.ParseUint(binding.HostPort, 10, 16)
		ip, rank := hostAddress(hostIP, binding.HostIP.Unmap())
		switch {
		case err != nil || port == 0: // none was allotted
		case ip.IsLoopback() && rank == onOne:
			why = errLoopback
		default:
			candidates = append(candidates, candidate{netip.AddrPortFrom(ip, uint16(port)), rank})
		}
	}
	if len(candidates) == 0 {
		return netip.AddrPort{}, why
	}
	best := slices.MinFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), a.Compare(b.AddrPort))
	})
	return best.AddrPort, nil
}

// hostAddress puts the host's own address in place of "all addresses".
func hostAddress(hostIP, bound netip.Addr) (netip.Addr, int) {
	switch {
	case bound.IsValid() && !bound.IsUnspecified():
		return bound, onOne
	case bound.IsValid() && bound.Is4() != hostIP.Is4():
		return hostIP, onOtherFamily
	}
	return hostIP, onHost
}

// ownAddress is the source address of the default route. Nothing is sent to find it.
func ownAddress() (netip.Addr, error) {
	var failures []error
	for _, elsewhere := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // of the documentation, so nowhere
		address, err := sourceAddress(elsewhere)
		if err == nil {
			return address, nil
		}
		failures = append(failures, err)
	}
	return netip.Addr{}, fmt.Errorf("cannot find this host's address: %w; give it: --host-ip ADDRESS", errors.Join(failures...))
}

func sourceAddress(destination string) (netip.Addr, error) {
	conn, err := net.Dial("udp", destination)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
