package service

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/address"
)

// DefaultHost gives what finds where others reach this container: CONTAINER_HOST, else the source address of the
// default route. A CONTAINER_HOST that is the route's address, as envharness sets it, is found by the route too, so
// that a change is noticed.
func DefaultHost(getenv func(string) string) func() (string, error) {
	fixed := getenv("CONTAINER_HOST")
	if route, _ := address.Offers(); fixed != "" && fixed != route {
		return func() (string, error) { return fixed, nil }
	}
	return func() (string, error) {
		if host, _ := address.Offers(); host != "" {
			return host, nil
		}
		return "", errors.New("the address of this container is unknown: CONTAINER_HOST is not set and there is no default route")
	}
}

// InterfaceHost finds the address by the first of the rules that matches:
//
//	eth0          its first IPv4 address
//	eth0:inet6    its first IPv6 address that is not link-local
//	eth0[1]       its second address, those of IPv4 before those of IPv6
//	10.0.0.0/8    the first address of any interface in that network
//	static:IP     this one
//
// A rule that cannot be understood is discovery.ErrInvalid, even behind one that matches.
func InterfaceHost(rules []string) (string, error) {
	links, err := interfaces()
	if err != nil {
		return "", err
	}
	return pickHost(rules, links)
}

// link is one network interface with its addresses, IPv4 before IPv6, each in the kernel's order.
type link struct {
	name      string
	addresses []netip.Addr
}

func pickHost(rules []string, links []link) (string, error) {
	var found netip.Addr
	for _, rule := range rules {
		choose, err := parseRule(rule)
		if err != nil {
			return "", err
		}
		if !found.IsValid() {
			found = choose(links)
		}
	}
	if !found.IsValid() {
		return "", errors.New("no interface has an address by " + strings.Join(rules, ", ") + "; there are " + describe(links))
	}
	return found.String(), nil
}

// parseRule gives what chooses an address, the zero one for none.
func parseRule(rule string) (func([]link) netip.Addr, error) {
	if text, ok := strings.CutPrefix(rule, "static:"); ok {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, discovery.Invalidf("interface %q: %q is no IP address", rule, text)
		}
		return func([]link) netip.Addr { return ip }, nil
	}
	if strings.Contains(rule, "/") {
		network, err := netip.ParsePrefix(rule)
		if err != nil {
			return nil, discovery.Invalidf("interface %q is no network as 10.0.0.0/8", rule)
		}
		return anywhere(network), nil
	}
	name, family, hasFamily := strings.Cut(rule, ":")
	if hasFamily && (family != "inet" && family != "inet6" || name == "") {
		return nil, discovery.Invalidf("interface %q: behind the colon stands inet or inet6", rule)
	}
	if open := strings.IndexByte(name, '['); open >= 0 && !hasFamily {
		index, err := strconv.Atoi(strings.TrimSuffix(name[open+1:], "]"))
		if err != nil || index < 0 || !strings.HasSuffix(name, "]") || open == 0 {
			return nil, discovery.Invalidf("interface %q is not as eth0[1]", rule)
		}
		return numbered(name[:open], index), nil
	}
	if name == "" {
		return nil, discovery.Invalidf("an interface has no name")
	}
	return ofFamily(name, family == "inet6"), nil
}

func anywhere(network netip.Prefix) func([]link) netip.Addr {
	return func(links []link) netip.Addr {
		for _, l := range links {
			if i := slices.IndexFunc(l.addresses, network.Contains); i >= 0 {
				return l.addresses[i]
			}
		}
		return netip.Addr{}
	}
}

func numbered(name string, index int) func([]link) netip.Addr {
	return func(links []link) netip.Addr {
		if all := addressesOf(links, name); index < len(all) {
			return all[index]
		}
		return netip.Addr{}
	}
}

func ofFamily(name string, v6 bool) func([]link) netip.Addr {
	return func(links []link) netip.Addr {
		for _, ip := range addressesOf(links, name) {
			if ip.Is6() == v6 && !ip.IsLinkLocalUnicast() {
				return ip
			}
		}
		return netip.Addr{}
	}
}

func addressesOf(links []link, name string) []netip.Addr {
	for _, l := range links {
		if l.name == name {
			return l.addresses
		}
	}
	return nil
}

// interfaces asks the kernel for those that are up.
func interfaces() ([]link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []link
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		links = append(links, link{name: i.Name, addresses: ipsOf(addresses)})
	}
	return links, nil
}

func ipsOf(addresses []net.Addr) []netip.Addr {
	var ips []netip.Addr
	for _, a := range addresses {
		if network, err := netip.ParsePrefix(a.String()); err == nil {
			ips = append(ips, network.Addr().Unmap())
		}
	}
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return ips
}

// describe lists what there is, for an error.
func describe(links []link) string {
	var texts []string
	for _, l := range links {
		var ips []string
		for _, ip := range l.addresses {
			ips = append(ips, ip.String())
		}
		texts = append(texts, l.name+" ("+strings.Join(ips, ", ")+")")
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}
