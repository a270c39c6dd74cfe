// Package etcd is the engine etcd://HOST,HOST/PREFIX, and etcds:// over TLS: etcd's v3 protocol by its
// official client.
//
// A registration is a record on a lease of its own. A watch reads all records of a service at one revision
// and follows the changes from the next one, so it misses none.
package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// defaultPort is where etcd listens.
const defaultPort = 2379

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
	Layouts: []string{"native"},
	Check:   driver.Check(open),
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return open(config)
	},
}

// registry is one opening of a cluster. It implements discovery.Values and discovery.Elector too.
type registry struct {
	config     discovery.Config
	layout     layout.Layout
	connection *connection
	group      *driver.Group
	pulse      *pulse
	hubs       hubs
}

func open(config discovery.Config) (*registry, error) {
	keys, err := layout.New(config.Layout, config.Prefix, "")
	if err == nil {
		for _, address := range config.Addresses(defaultPort) {
			if _, err = config.TLSConfig(address); err != nil { // for its early errors
				break
			}
		}
	}
	if err == nil {
		_, err = config.Login()
	}
	if err != nil {
		return nil, &discovery.Error{Op: "open registry", Engine: config.String(), Err: err}
	}
	r := &registry{
		config:     config,
		layout:     keys,
		connection: newConnection(config),
		group:      driver.NewGroup(),
		hubs:       hubs{byService: map[string]*hub{}},
	}
	r.pulse = newPulse(r)
	return r, nil
}

func (r *registry) Close() error {
	r.group.Close()
	return r.connection.close()
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := driver.Accept(r.config, in, ttl, layout.Fit(r.layout, r.config.Log))
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return driver.Register(ctx, r.group, &lease{registry: r, ttl: what.TTL}, what), nil
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return discovery.Snapshot{}, r.fail("read service", service, err)
	}
	response, err := r.readAll(ctx, "read service", service, prefix)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	all := layout.Decode(r.layout, r.config.Log, records(response))
	return discovery.NewSnapshot(service, revision(response.Header.Revision), q, all), nil
}

func (r *registry) Services(ctx context.Context) ([]string, error) {
	response, err := r.readAll(ctx, "list services", "", r.layout.ServicesPrefix())
	if err != nil {
		return nil, err
	}
	return layout.Services(r.layout, r.config.Log, records(response)), nil
}

func (r *registry) readAll(ctx context.Context, op, name, prefix string) (*clientv3.GetResponse, error) {
	return call(ctx, r, op, name, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		return client.Get(ctx, prefix, r.reading(clientv3.WithPrefix())...)
	})
}

// reading adds to a read's options what the URL says of reads.
func (r *registry) reading(options ...clientv3.OpOption) []clientv3.OpOption {
	if r.config.Stale {
		options = append(options, clientv3.WithSerializable())
	}
	return options
}

func records(response *clientv3.GetResponse) []layout.Record {
	all := make([]layout.Record, len(response.Kvs))
	for i, kv := range response.Kvs {
		all[i] = layout.Record{Key: string(kv.Key), Value: kv.Value}
	}
	return all
}
