// Package engines is the list of all engines. A program that imports it can open every registry.
package engines

import (
	"context"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul"
	"github.com/envharness/envharness/discovery/dns"
	"github.com/envharness/envharness/discovery/etcd"
	"github.com/envharness/envharness/discovery/etcd2"
	"github.com/envharness/envharness/discovery/memory"
	"github.com/envharness/envharness/discovery/zookeeper"
)

// All is every engine there is, one a line.
var All = discovery.NewEngines(
	consul.Engine,
	dns.Engine,
	etcd.Engine,
	etcd2.Engine,
	memory.Engine,
	zookeeper.Engine,
)

// Open opens the registry that a URL names: see [discovery.Engines.Open].
func Open(ctx context.Context, url string, settings ...discovery.Setting) (discovery.Registry, error) {
	return All.Open(ctx, url, settings...)
}
