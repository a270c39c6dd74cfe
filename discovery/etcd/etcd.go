// Package etcd is the engine etcd://HOST,HOST/PREFIX, and etcds:// over TLS: etcd's v3 protocol by its
// official client.
//
// A registration is a record on a lease that all of its TTL in a process share. A watch reads all records of a service at one revision
// and follows the changes from the next one, so it misses none.
package etcd

import (
	"context"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
	"github.com/envharness/envharness/discovery/layout"
)

// Engine is etcd:// and etcds://.
var Engine = discovery.Engine{
	Scheme: "etcd",
	Secure: true,
	Help:   "etcd://[user:password@]h1,h2/PREFIX: etcd by its v3 protocol, 3.4 or newer.",
	Promises: discovery.Promises{
		Death: "Gone when its TTL runs out, twice that after a change of etcd's leader. TTLs are whole seconds, at " +
			"least 1.5 times the cluster's election time-out.",
		Partition: "Without a quorum nothing is read, unless stale=1, and nothing is written; watches keep the last " +
			"snapshot, marked stale. Who is cut off is gone for the others when its TTL runs out, and back by itself.",
		Director: "One at a time, each write fenced by its lease: an old one writes nothing.",
		Limits:   "A record or value is at most 1.5 MiB, the whole store 2 GiB, unless etcd is told otherwise.",
	},
	Layouts: []string{"native", "skydns", "plain"},
	Check:   driver.Check(open),
	Open:    driver.Opener(open),
}

func open(config discovery.Config) (*driver.Registry, error) {
	keys, err := layout.New(config.Layout, config.Prefix, config.Hostname())
	if err == nil {
		err = driver.ReadFiles(config, cluster.DefaultPort)
	}
	if err != nil {
		return nil, err
	}
	b := &backend{config: config, Client: cluster.New(config), nowhere: keys.ServicesPrefix()}
	latest := func(ctx context.Context, key string) (driver.Item, error) { return b.Get(ctx, key, true) }
	b.leases = driver.NewLeasePool(b.newSession, latest)
	b.registry = driver.Open(config, keys, b, 0)
	return b.registry, nil
}
