package address

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"
)

// The addresses are read from the kernel over rtnetlink(7): package net would make the binary larger by
// half a megabyte.

// way is one out of this container, and the address that others see.
type way struct {
	source  netip.Prefix // with the length of its subnet
	gateway netip.Addr
	link    int
}

// defaultWay is the source address of the default route of one family, AF_INET or AF_INET6.
func defaultWay(family int) (way, bool) {
	a, preferred, ok := defaultRoute(family)
	if !ok {
		return way{}, false
	}
	found := false
	for _, m := range netlink(syscall.RTM_GETADDR, family) {
		prefix, usual := linkAddress(m, a.link)
		if !usual && (!prefix.IsValid() || prefix.Addr() != preferred) {
			continue
		}
		if !found || prefix.Addr() == preferred || prefix.Contains(a.gateway) && !a.source.Contains(a.gateway) {
			a.source, found = prefix, true
		}
		if prefix.Addr() == preferred {
			break
		}
	}
	return a, found
}

// defaultRoute is the route to everywhere with the lowest metric, and the source address that it asks for.
func defaultRoute(family int) (a way, preferred netip.Addr, ok bool) {
	best := uint32(0)
	for _, m := range netlink(syscall.RTM_GETROUTE, family) {
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
			continue
		}
		route := (*syscall.RtMsg)(unsafe.Pointer(&m.Data[0]))
		if route.Dst_len != 0 || route.Table != syscall.RT_TABLE_MAIN || route.Type != syscall.RTN_UNICAST {
			continue
		}
		candidate, source, metric := way{}, netip.Addr{}, uint32(0)
		for _, attr := range attributes(m) {
			switch attr.Attr.Type {
			case syscall.RTA_GATEWAY:
				candidate.gateway, _ = netip.AddrFromSlice(attr.Value)
			case syscall.RTA_PREFSRC:
				source, _ = netip.AddrFromSlice(attr.Value)
			case syscall.RTA_OIF:
				candidate.link = int(uint32Of(attr.Value))
			case syscall.RTA_PRIORITY:
				metric = uint32Of(attr.Value)
			}
		}
		if !ok || metric < best {
			a, preferred, best, ok = candidate, source, metric, true
		}
	}
	return a, preferred, ok
}

// linkAddress is the address in an RTM_NEWADDR message, if it is of that link, and whether it is one that
// the link uses for itself: global, and neither secondary, temporary, tentative nor deprecated.
func linkAddress(m syscall.NetlinkMessage, link int) (address netip.Prefix, usual bool) {
	const scopeGlobal, unusual = 0, syscall.IFA_F_SECONDARY | syscall.IFA_F_TENTATIVE | syscall.IFA_F_DEPRECATED
	if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
		return netip.Prefix{}, false
	}
	msg := (*syscall.IfAddrmsg)(unsafe.Pointer(&m.Data[0]))
	if int(msg.Index) != link {
		return netip.Prefix{}, false
	}
	var local, other netip.Addr
	for _, attr := range attributes(m) {
		switch attr.Attr.Type {
		case syscall.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attr.Value)
		case syscall.IFA_ADDRESS:
			other, _ = netip.AddrFromSlice(attr.Value)
		}
	}
	if !local.IsValid() {
		local = other // IPv6 has no IFA_LOCAL
	}
	return netip.PrefixFrom(local, int(msg.Prefixlen)), local.IsValid() && msg.Scope == scopeGlobal && msg.Flags&unusual == 0
}

// isContainerLink tells whether a link is one end of a veth pair, as a container on a bridge has. The
// machine's own links are not, and there the gateway is a stranger.
func isContainerLink(index int) bool {
	const linkInfo, infoKind = 18, 1 // IFLA_LINKINFO, IFLA_INFO_KIND of linux/if_link.h
	for _, m := range netlink(syscall.RTM_GETLINK, syscall.AF_UNSPEC) {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg ||
			int((*syscall.IfInfomsg)(unsafe.Pointer(&m.Data[0])).Index) != index {
			continue
		}
		for _, attr := range attributes(m) {
			if attr.Attr.Type&0x3fff == linkInfo && nestedText(attr.Value, infoKind) == "veth" {
				return true
			}
		}
	}
	return false
}

// nestedText finds a text among attributes that are nested in another.
func nestedText(data []byte, kind uint16) string {
	for len(data) >= 4 {
		size := int(binary.NativeEndian.Uint16(data))
		if size < 4 || size > len(data) {
			break
		}
		if binary.NativeEndian.Uint16(data[2:]) == kind {
			text := data[4:size]
			if n := len(text); n > 0 && text[n-1] == 0 {
				text = text[:n-1]
			}
			return string(text)
		}
		data = data[min((size+3)&^3, len(data)):]
	}
	return ""
}

func netlink(request, family int) []syscall.NetlinkMessage {
	data, err := syscall.NetlinkRIB(request, family)
	if err != nil {
		return nil
	}
	messages, _ := syscall.ParseNetlinkMessage(data)
	return messages
}

func attributes(m syscall.NetlinkMessage) []syscall.NetlinkRouteAttr {
	list, _ := syscall.ParseNetlinkRouteAttr(&m)
	return list
}

func uint32Of(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// Offers are the two addresses, each empty when there is none.
func Offers() (containerHost, dockerd string) {
	v4, ok := defaultWay(syscall.AF_INET)
	if !ok {
		if v6, ok := defaultWay(syscall.AF_INET6); ok {
			containerHost = v6.source.Addr().String()
		}
		return containerHost, ""
	}
	bits := v4.source.Bits()
	if v4.gateway.IsPrivate() && v4.source.Contains(v4.gateway) && 16 <= bits && bits <= 30 && isContainerLink(v4.link) {
		dockerd = netip.AddrPortFrom(v4.gateway, DockerdPort).String()
	}
	return v4.source.Addr().String(), dockerd
}
