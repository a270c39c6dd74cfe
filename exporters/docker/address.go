package docker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/envharness/envharness/internal/failure"
)

// Why a service has no address.
var (
	errUnpublished = errors.New("the container does not publish this port")
	errLoopback    = errors.New("the container publishes this port on loopback only")
	errFamily      = errors.New("the container publishes this port by an IP version of which this host has no known address; " +
		"give one of each: --host-ip 10.0.0.5,2001:db8::5")
)

// addresses are where everyone reaches this host.
type addresses struct {
	own   netip.Addr
	other netip.Addr // of the other IP version; the zero one where there is none
}

// renewed takes over what was found. Which address is the host's own does not change with that, and one of which
// none was found stays: a route that is renewed is away for a moment.
func (a addresses) renewed(found []netip.Addr) addresses {
	for _, ip := range found {
		if !a.own.IsValid() || a.own.Is4() == ip.Is4() {
			a.own = ip
		} else {
			a.other = ip
		}
	}
	return a
}

func (a addresses) String() string {
	if !a.other.IsValid() {
		return a.own.String()
	}
	return a.own.String() + "," + a.other.String()
}

// candidate is an address that a container publishes a port at. The lowest rank is taken.
type candidate struct {
	netip.AddrPort
	rank int
}

// The ranks of candidates.
const (
	onHost        = iota // all addresses of the host, by the IP version of its own address
	onOne                // one address
	onOtherFamily        // all addresses of the host, by the other IP version
)

// publicAddress gives where everyone reaches a port of a container at this host, the same each time.
func publicAddress(host addresses, c container, p port) (netip.AddrPort, error) {
	if c.hostNetwork {
		return netip.AddrPortFrom(host.own, p.number), nil
	}
	private, ok := network.PortFrom(p.number, network.IPProtocol(p.protocol))
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("the engine has no port %s", p)
	}
	var candidates []candidate
	why := errUnpublished
	for _, binding := range c.ports[private] {
		public, err := strconv.ParseUint(binding.HostPort, 10, 16)
		ip, rank := host.boundTo(binding.HostIP.Unmap())
		switch {
		case err != nil || public == 0: // none was allotted
		case ip.IsLoopback() && rank == onOne:
			why = errLoopback
		case !ip.IsValid():
			why = errFamily
		default:
			candidates = append(candidates, candidate{netip.AddrPortFrom(ip, uint16(public)), rank})
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

// boundTo puts the host's address of the same IP version in place of "all addresses".
func (a addresses) boundTo(bound netip.Addr) (netip.Addr, int) {
	switch {
	case bound.IsValid() && !bound.IsUnspecified():
		return bound, onOne
	case bound.IsValid() && bound.Is4() != a.own.Is4():
		return a.other, onOtherFamily
	}
	return a.own, onHost
}

// parseAddresses reads one address, or one of each IP version with a comma between.
func parseAddresses(text string) (addresses, error) {
	var found []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		ip, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(part), "[]"))
		if err != nil || ip.IsUnspecified() {
			return addresses{}, failure.Misuse("write the address that others reach this machine at", "--host-ip %q is no address as 10.0.0.5 or 2001:db8::5", text)
		}
		found = append(found, ip.Unmap())
	}
	if len(found) > 2 || len(found) == 2 && found[0].Is4() == found[1].Is4() {
		return addresses{}, failure.Misuse("write one address, or one of each IP version: 10.0.0.5,2001:db8::5",
			"--host-ip %q has more than one address of an IP version", text)
	}
	return addresses{}.renewed(found), nil
}

// findAddresses gives the source addresses of the default routes. Nothing is sent to find them.
func findAddresses() ([]netip.Addr, error) { return findBy(sourceAddress) }

func findBy(source func(destination string) (netip.Addr, error)) ([]netip.Addr, error) {
	var found []netip.Addr
	var failures []error
	for _, elsewhere := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // of the documentation, so nowhere
		ip, err := source(elsewhere)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		found = append(found, ip)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("cannot find this host's address: %w; give it: --host-ip ADDRESS", errors.Join(failures...))
	}
	return found, nil
}

func sourceAddress(destination string) (netip.Addr, error) {
	conn, err := net.Dial("udp", destination)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
