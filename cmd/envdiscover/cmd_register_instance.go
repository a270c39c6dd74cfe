package main

import (
	"cmp"
	"os"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/exporters/service"
)

// complete makes the instance of the options whole. find looks for its address again; nil where that is fixed.
func (c *call) complete(r *registering) (find func() (string, error), err error) {
	in := &r.instance
	in.Service = c.Args[0]
	var number, privateNumber int
	if in.Ports, number, err = c.ports("--port", r.ports); err != nil {
		return nil, err
	}
	if in.PrivatePorts, privateNumber, err = c.ports("--private-port", r.privatePorts); err != nil {
		return nil, err
	}
	if in.Metadata, err = c.metadata(r.metadata); err != nil {
		return nil, err
	}
	if in.Password, err = c.password(r.passwordFile); err != nil {
		return nil, err
	}
	if in.Host, find, err = c.host(r); err != nil {
		return nil, err
	}
	if in.ID == "" && !c.layoutNames() {
		hostname, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		in.ID = service.ID(in.Service, hostname, cmp.Or(number, privateNumber))
	}
	return find, nil
}

// layoutNames reports whether the registry's layout has names of its own for instances, by which its other clients
// know this one.
func (c *call) layoutNames() bool {
	_, config, err := engines.All.Find(c.url)
	return err == nil && config.Layout != "" && config.Layout != "native"
}

// ports reads NAME=NUMBER[/PROTOCOL], where a port without a NAME is the default one. It gives the first number
// too.
func (c *call) ports(option string, texts []string) (map[string]discovery.Port, int, error) {
	ports, first := map[string]discovery.Port{}, 0
	for _, text := range texts {
		name, rest, named := strings.Cut(text, "=")
		if !named {
			name, rest = discovery.DefaultPort, text
		}
		digits, protocol, _ := strings.Cut(rest, "/")
		number, err := strconv.Atoi(digits)
		if err != nil || number < 1 || number > 65535 {
			return nil, 0, c.Misuse("%s %q: %q is no number between 1 and 65535", option, text, digits)
		}
		if _, taken := ports[name]; taken || name == "" {
			return nil, 0, c.Misuse("%s %q: each port needs a name of its own", option, text)
		}
		if protocol != "" && protocol != "tcp" && protocol != "udp" {
			return nil, 0, c.Misuse("%s %q: the protocol is tcp or udp", option, text)
		}
		ports[name] = discovery.Port{Number: number, Protocol: protocol}
		first = cmp.Or(first, number)
	}
	return ports, first, nil
}

func (c *call) metadata(texts []string) (map[string]string, error) {
	metadata := map[string]string{}
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, c.Misuse("--metadata takes KEY=VALUE")
		}
		metadata[key] = value
	}
	return metadata, nil
}

// password reads its file, without the newline at the end.
func (c *call) password(path string) (discovery.Secret, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", c.Misuse("--password-file: %v", err)
	}
	return discovery.Secret(strings.TrimRight(string(text), "\r\n")), nil
}

// host finds the address: --host, else by --interface, else the container's own. find looks again; nil for --host.
func (c *call) host(r *registering) (host string, find func() (string, error), err error) {
	rules := strings.FieldsFunc(strings.Join(r.interfaces, ","), func(r rune) bool { return r == ',' || r == ' ' })
	if host := r.instance.Host; host != "" {
		if len(rules) > 0 {
			return "", nil, c.Misuse("--host and --interface exclude each other")
		}
		return host, nil, nil
	}
	if len(rules) > 0 {
		find = func() (string, error) { return service.InterfaceHost(rules) }
	} else {
		find = service.DefaultHost(c.getenv)
	}
	if host, err = find(); err != nil {
		return "", nil, failed(err, 0, "give the address by --host ADDRESS, or how to find it by --interface")
	}
	return host, find, nil
}
