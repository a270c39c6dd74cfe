// Package dns is the engine dns://[SERVER[:PORT]]/ZONE: it reads services from any DNS server, by
// github.com/miekg/dns, and writes nothing.
//
// A service is a name below ZONE. Its SRV records (RFC 2782) give instances with ports; where there are none, each A
// and AAAA record is an instance without. An answer counts until its TTL ends, and is then asked for again: that is
// when a watch sees changes, and outages.
package dns

import (
	"context"
	"errors"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// defaultPort is where DNS servers listen.
const defaultPort = 53

// Engine is dns://.
var Engine = discovery.Engine{
	Scheme: "dns",
	Help: "dns://[server[:port],…]/ZONE: DNS, read only, as of Kubernetes' headless services, Consul, CoreDNS and Compose.\n" +
		"Asks for SRV at _PORT._PROTO.SERVICE.ZONE, _SERVICE._tcp.ZONE and SERVICE.ZONE, then for A and AAAA. " +
		"With no server those of /etc/resolv.conf are asked, and with no ZONE its search list holds.",
	Promises: discovery.Promises{
		Death: "As soon as the servers tell of it and the answer's TTL ends: that is looked at again after " +
			"1s at least and 1m at most.",
		Partition: "The last snapshot stays until its TTL ends, and then, marked stale, until a server answers. Each " +
			"server is tried, the next one after 1s. SERVFAIL is an outage, a name that is not there is an empty snapshot.",
		Director: "None: nothing can be written.",
		Limits: "No registering, values, locks or list of services; no states, tags or credentials. An address of a name " +
			"without SRV records is an instance. All answers for a name have 64 KiB at most.",
	},
	Options: []discovery.Option{
		{Name: "port", Help: "NAME[/udp],…: the ports whose SRV records are asked for; NAME=NUMBER or NUMBER: that of " +
			"addresses without SRV records, which are not asked for if all have numbers"},
	},
	Validate: func(config discovery.Config) error {
		_, err := newNames(config)
		return err
	},
	Check: check,
	Open:  driver.Opener(open),
}

func open(config discovery.Config) (*driver.Registry, error) {
	b, err := newBackend(config)
	if err != nil {
		return nil, err
	}
	return driver.Open(config, b.names, b, 0), nil
}

// check asks for the zone itself. That it has no such record, or does not exist by itself, is an answer.
func check(ctx context.Context, config discovery.Config) error {
	b, err := newBackend(config)
	if err != nil {
		return driver.OpenFailed(config, err)
	}
	ctx, cancel := context.WithTimeout(ctx, config.Timeout)
	defer cancel()
	if _, err = b.resolver.ask(ctx, b.zone+".", typeSOA); err != nil {
		return &discovery.Error{Op: "ask for zone", Name: b.zone, Engine: config.String(), Err: err, Next: b.Hint(err)}
	}
	return nil
}

// backend is one opening of a zone.
type backend struct {
	readOnly
	names
	config   discovery.Config
	resolver *resolver
}

func newBackend(config discovery.Config) (*backend, error) {
	config.Log = layout.Quiet(config.Log)
	n, err := newNames(config)
	if err != nil {
		return nil, err
	}
	return &backend{names: n, config: config, resolver: newResolver(config)}, nil
}

func (b *backend) Close() error { return nil }

func (b *backend) Hint(err error) string {
	switch {
	case errors.Is(err, errList):
		return "ask for a service by its name: envdiscover instances NAME"
	case errors.Is(err, discovery.ErrUnsupported):
		return "write to a registry whose records DNS serves: Consul, or etcd with ?layout=skydns behind CoreDNS"
	case errors.Is(err, discovery.ErrDenied):
		return "the server does not serve this zone, or not to this machine: name another, as dns://10.0.0.10/ZONE"
	case errors.Is(err, discovery.ErrUnavailable) && !b.addressesOnly():
		return "see whether the server answers, by dig; where it has no SRV records, as in Compose, ?port=NUMBER asks for addresses alone"
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether the server answers, by dig"
	}
	return ""
}

// Follow is that of driver.Store.
func (b *backend) Follow(key string) driver.Source {
	service := serviceOf(key)
	if service == "" {
		return followService(key, func(context.Context) (found, error) { return found{}, errValues })
	}
	return followService(key, func(ctx context.Context) (found, error) { return b.lookUp(ctx, service) })
}

// List is that of driver.Store.
func (b *backend) List(ctx context.Context, key string) (driver.Changes, error) {
	service := serviceOf(key)
	if service == "" { // ValuesPrefix
		return driver.Changes{}, errValues
	}
	f, err := b.lookUp(ctx, service)
	return f.changes(key), err
}

// Decode is that of driver.Decoder: what an answer says of an instance stands in the item.
func (b *backend) Decode(item driver.Item) (discovery.Instance, bool) {
	in, ok := item.Note.(discovery.Instance)
	return in, ok
}
