// Package zookeeper is the engine zk://HOST,HOST/PREFIX, and zks:// over TLS: ZooKeeper by the client library
// go-zookeeper.
//
// A registration is an ephemeral node on a session of its own, which the client keeps alive and the server
// ends a while after it has heard the last of it. Everything else goes over one shared connection: reads, which
// a sync precedes, writes, and the watches, which all are set anew when that connection is lost.
package zookeeper

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
)

// Engine is zk:// and zks://.
var Engine = discovery.Engine{
	Scheme: "zk",
	Secure: true,
	Help: `zk://[user:password@]h1,h2/PREFIX: ZooKeeper 3.5 or newer, the user by its digest scheme.
Every registration is a session and a connection of its own: mind the server's maxClientCnxns.`,
	Promises: discovery.Promises{
		Death: "Gone when its TTL runs out, a tick later at most, twice that after a change of leader. The server " +
			"grants 2 to 20 of its ticks, 4s to 40s by default: a longer TTL becomes shorter.",
		Partition: "A server without a quorum answers nothing, not even with stale=1; watches keep the last snapshot, " +
			"marked stale. Who is cut off is gone for the others when its TTL runs out, and back by itself.",
		Director: "One at a time, each write fenced by its session: an old one writes nothing.",
		Limits: "A record or request is at most 1 MB. A value with a TTL of more than 20 ticks goes with its writer. " +
			"lighthouse has one port an instance and no states: who does not pass is not there.",
	},
	Options: []discovery.Option{
		{Name: "acl", Help: "who may use what is written: creator, read (all read it), or open; creator when there is a user"},
	},
	Layouts:  []string{"native", "lighthouse"},
	Validate: validate,
	Check:    driver.Check(openRegistry),
	Open:     driver.Opener(openRegistry),
}

// validate refuses prefixes that no node can have.
func validate(config discovery.Config) error {
	if _, ok := accesses[config.Options["acl"]]; !ok {
		return discovery.Invalidf("acl %q is none of creator, read, open", config.Options["acl"])
	}
	if config.Prefix == "" {
		return nil
	}
	for i, name := range strings.Split(config.Prefix, "/") {
		if err := layout.ValidNode(name); err != nil {
			return discovery.Invalidf("%q is no prefix: %w", config.Prefix, err)
		}
		if i == 0 && name == "zookeeper" {
			return discovery.Invalidf("the prefix /zookeeper is the server's own")
		}
	}
	return nil
}

// backend is one opening of an ensemble: the single steps that package driver takes.
type backend struct {
	*ensemble.Ensemble
	registry *driver.Registry
	config   discovery.Config
	layout   layout.Layout
	lookup   func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

func openRegistry(config discovery.Config) (*driver.Registry, error) {
	b, err := open(config)
	if err != nil {
		return nil, err
	}
	return b.registry, nil
}

func open(config discovery.Config) (*backend, error) {
	keys, err := layout.New(config.Layout, config.Prefix, config.Hostname())
	if err != nil {
		return nil, err
	}
	if err := driver.ReadFiles(config, ensemble.DefaultPort); err != nil {
		return nil, err
	}
	login, err := config.Login()
	if err != nil {
		return nil, err
	}
	access, err := accessFor(config.Options["acl"], login)
	if err != nil {
		return nil, err
	}
	b := &backend{
		Ensemble: ensemble.New(config, access),
		config:   config,
		layout:   keys,
		lookup:   net.DefaultResolver.LookupNetIP,
	}
	b.registry = driver.Open(config, keys, b, 0)
	return b, nil
}

// locate gives an instance the address that a record of lighthouse needs, where it has names alone.
func (b *backend) locate(ctx context.Context, in discovery.Instance) (discovery.Instance, error) {
	lighthouse, is := b.layout.(layout.Lighthouse)
	if !is || lighthouse.IP(in) != "" {
		return in, nil
	}
	found, err := b.lookup(ctx, "ip", in.Host)
	if err != nil {
		return in, discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("this layout writes an address, and the host has none: %w", err))
	}
	in.PrivateHost = found[0].Unmap().String()
	return in, nil
}

// located gives a record with the address that its layout needs.
func (b *backend) located(ctx context.Context, record driver.Record) (driver.Record, error) {
	in, err := b.locate(ctx, record.Instance)
	if err != nil {
		return record, err
	}
	return record.Of(in)
}

// maxRequest is what a server takes in one request, with some room for what is around the data: its
// jute.maxbuffer is a megabyte, and a longer request costs the connection.
const maxRequest = 1_000_000

// CheckRecord is that of driver.RecordChecker.
func (b *backend) CheckRecord(key string, value []byte) error {
	if size := len(key) + len(value); size > maxRequest {
		return discovery.Invalidf("the record has %d bytes, ZooKeeper takes %d at most", size, maxRequest)
	}
	return nil
}

// revision is ZooKeeper's count of changes as a snapshot shows it.
func revision(zxid int64) string { return fmt.Sprintf("%#x", zxid) }
