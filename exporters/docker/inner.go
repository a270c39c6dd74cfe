package docker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/envharness/envharness/internal/failure"
)

// What of a container is announced.
const (
	AddressHost      = "host"      // the host's address and the published port
	AddressContainer = "container" // the container's own, in its network or in the one of "container:NETWORK"
)

// inner says whether the container's own address is announced, and in which network.
type inner struct {
	enabled bool
	network string // empty: the only one
}

func parseInner(text string) (inner, error) {
	mode, network, named := strings.Cut(text, ":")
	switch {
	case text == "" || text == AddressHost:
		return inner{}, nil
	case mode == AddressContainer && named == (network != ""):
		return inner{true, network}, nil
	}
	return inner{}, failure.Misuse("write host, container or container:NETWORK, as container:backend",
		"--docker-address %q is neither %s nor %s nor %[3]s:NETWORK", text, AddressHost, AddressContainer)
}

// address gives the container's own address. Of several networks the first by name that it has an address in is taken;
// ambiguous is what to say then. A container in the host's network has the host's address.
func (n inner) address(host addresses, c container) (ip netip.Addr, ambiguous, err error) {
	if c.hostNetwork {
		return host.own, nil, nil
	}
	if n.network != "" {
		ip, err = addressIn(c, n.network)
		return ip, nil, err
	}
	var usable []string
	for _, name := range slices.Sorted(maps.Keys(c.networks)) {
		if c.networks[name].IsValid() {
			usable = append(usable, name)
		}
	}
	switch len(usable) {
	case 0:
		return ip, nil, errors.New("the container has no address of its own: it is in no network")
	case 1:
	default:
		ambiguous = fmt.Errorf("the container is in the networks %s: taking its address in %s; choose by --docker-address %s:NETWORK",
			strings.Join(usable, ", "), usable[0], AddressContainer)
	}
	return c.networks[usable[0]], ambiguous, nil
}

func addressIn(c container, network string) (netip.Addr, error) {
	ip, found := c.networks[network]
	switch {
	case !found && len(c.networks) == 0:
		return ip, fmt.Errorf("the container is not in network %s, and in no other (--docker-address)", network)
	case !found:
		return ip, fmt.Errorf("the container is not in network %s but in %s (--docker-address)", network,
			strings.Join(slices.Sorted(maps.Keys(c.networks)), ", "))
	case !ip.IsValid():
		return ip, fmt.Errorf("the container has no address in network %s", network)
	}
	return ip, nil
}
