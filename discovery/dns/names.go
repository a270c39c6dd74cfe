package dns

import (
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
)

const (
	longestName  = 253 // in text, without the dot at its end
	longestLabel = 63
)

// names are those of a zone, in place of a layout: the key of a service is its name between slashes.
type names struct {
	zone  string // without dots around it; may be empty
	ports []wanted
}

// wanted is a port that the URL names. One with a number is that of every address; SRV records are asked for the
// others.
type wanted struct {
	name, protocol string
	number         int
}

func newNames(config discovery.Config) (names, error) {
	n := names{zone: strings.Trim(config.Prefix, ".")}
	if n.zone != "" && !isName(n.zone) {
		return n, discovery.Invalidf("zone %q is no name of DNS", config.Prefix)
	}
	if config.User != "" || config.UserFile != "" || config.TokenFile != "" {
		return n, discovery.Invalidf("DNS knows no users and tokens")
	}
	err := n.setPorts(config.Options["port"])
	return n, err
}

// setPorts reads NAME[/PROTOCOL], NAME=NUMBER[/PROTOCOL] and NUMBER[/PROTOCOL], with commas between them.
func (n *names) setPorts(list string) error {
	if list == "" {
		return nil
	}
	taken := map[string]bool{}
	for text := range strings.SplitSeq(list, ",") {
		p, err := parsePort(text)
		if err != nil {
			return err
		}
		if taken[p.name] {
			return discovery.Invalidf("port %q stands there twice", p.name)
		}
		taken[p.name] = true
		n.ports = append(n.ports, p)
	}
	return nil
}

func parsePort(text string) (p wanted, err error) {
	text, p.protocol, _ = strings.Cut(text, "/")
	if p.protocol == "" {
		p.protocol = "tcp"
	}
	name, digits, numbered := strings.Cut(text, "=")
	if _, err := strconv.Atoi(name); err == nil && !numbered {
		name, digits, numbered = discovery.DefaultPort, name, true
	}
	if p.name = name; !isLabel("_"+name) || !isLabel("_"+p.protocol) {
		return p, discovery.Invalidf("port %q is none as http, dns/udp, postgresql=5432 or 5432", text)
	}
	if !numbered {
		return p, nil
	}
	if p.number, err = strconv.Atoi(digits); err != nil || p.number < 1 || p.number > 65535 {
		return p, discovery.Invalidf("port %q: %q is no number between 1 and 65535", text, digits)
	}
	return p, nil
}

// addressesOnly reports whether the URL says that there are no SRV records.
func (n names) addressesOnly() bool { return len(n.ports) > 0 && len(n.named()) == 0 }

// named are the ports that have SRV records of their own.
func (n names) named() (named []wanted) {
	for _, p := range n.ports {
		if p.number == 0 {
			named = append(named, p)
		}
	}
	return named
}

// numbered are the ports of addresses without SRV records.
func (n names) numbered() map[string]discovery.Port {
	var ports map[string]discovery.Port
	for _, p := range n.ports {
		if p.number == 0 {
			continue
		}
		if ports == nil {
			ports = map[string]discovery.Port{}
		}
		ports[p.name] = discovery.Port{Number: p.number, Protocol: p.protocol}
	}
	return ports
}

// ServicePrefix is that of layout.Layout.
func (n names) ServicePrefix(service string) (string, error) {
	if service == "" {
		return "", discovery.Invalidf("the service has no name")
	}
	if !isName(service) || len(n.base(service)) > longestName {
		return "", discovery.Invalidf("%q is no name of DNS: labels of letters, digits, - and _ with dots between them", service)
	}
	return "/" + service + "/", nil
}

// serviceOf is the service of a key.
func serviceOf(key string) string { return strings.Trim(key, "/") }

// base is the name of a service, without the dot at its end.
func (n names) base(service string) string {
	if n.zone == "" {
		return service
	}
	return service + "." + n.zone
}

func isName(text string) bool {
	if len(text) > longestName {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(text string) bool {
	return text != "" && text != "_" && len(text) <= longestLabel && !strings.ContainsFunc(text, notOfLabel)
}

func notOfLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
