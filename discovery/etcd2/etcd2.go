// Package etcd2 is the engine etcd2://HOST,HOST/PREFIX, and etcd2s:// over TLS: etcd's v2 keys API by its
// official client, for fleets that still run it (etcd up to 3.5 with --enable-v2).
//
// A registration is a key with a TTL, written in the way that the readers of its layout expect. All watches
// of one service share one long poll and one copy of what is there: see feed.
package etcd2

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// defaultPort is where etcd listens.
const defaultPort = 2379

// Engine is etcd2:// and etcd2s://.
var Engine = discovery.Engine{
	Scheme: "etcd2",
	Secure: true,
	Help: "etcd2://[user:password@]h1,h2/PREFIX: etcd's v2 keys API, up to etcd 3.5 with --enable-v2.\n" +
		"layout=scalingo: with no host, ETCD_HOSTS and the like say where; TTL 5s, written each 4s; public " +
		"instances share their credentials. layout=totem, layout=containerpilot: one port an instance.",
	Promises: discovery.Promises{
		Death: "Gone when its TTL runs out, half a second later at most. TTLs are whole seconds.",
		Partition: "Without a quorum nothing is read, unless stale=1, and nothing is written; watches keep the last " +
			"snapshot, marked stale. Who is cut off is gone for the others when its TTL runs out, and back by itself.",
		Director: "Two may overlap for a TTL: v2 cannot fence a write to one key by another, so an old one that " +
			"stood still between its look and its write still writes once.",
		Limits: "Everything is in etcd's memory; of its 1,000 last changes it tells who watches, after more they are " +
			"read anew. Layouts but native know no states: who does not pass is not there.",
	},
	Layouts:  []string{"native", "scalingo", "totem", "containerpilot"},
	Validate: validate,
	Check:    driver.Check(open),
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return open(config)
	},
}

// validate refuses prefixes that the server would read as others.
func validate(config discovery.Config) error {
	if config.Prefix == "" {
		return nil
	}
	for segment := range strings.SplitSeq(config.Prefix, "/") {
		if segment == "" || segment == "." || segment == ".." || !utf8.ValidString(segment) {
			return invalid("%q is no prefix of keys", config.Prefix)
		}
	}
	return nil
}

// registry is one opening of a cluster. It implements discovery.Values and discovery.Elector too.
type registry struct {
	config     discovery.Config
	layout     layout.Layout
	connection *connection
	group      *driver.Group
	feeds      *feeds
}

func open(config discovery.Config) (*registry, error) {
	keys, err := layout.NewV2(config.Layout, config.Prefix, config.Hostname())
	var members []*member
	if err == nil {
		members, err = newMembers(config)
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
		connection: newConnection(members),
		group:      driver.NewGroup(),
	}
	r.feeds = newFeeds(r)
	return r, nil
}

func (r *registry) Close() error {
	r.group.Close()
	r.connection.close()
	return nil
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := driver.Accept(r.config, in, ttl, layout.Fit(r.layout, r.config.Log))
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	var lease driver.Lease
	lease, what.Credentials, err = r.newLease(what.Instance, ttl, discovery.NewRegisterOptions(options).SyncCredentials)
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	return driver.Register(ctx, r.group, lease, what), nil
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return discovery.Snapshot{}, r.fail("read service", service, err)
	}
	all, index, err := r.readAll(ctx, "read service", service, prefix)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	snapshot := discovery.NewSnapshot(service, revision(index), q, layout.Decode(r.layout, r.config.Log, all))
	snapshot.Never = all == nil
	snapshot.Public, err = r.publicService(ctx, service)
	return snapshot, err
}

func (r *registry) Services(ctx context.Context) ([]string, error) {
	all, _, err := r.readAll(ctx, "list services", "", r.layout.ServicesPrefix())
	if err != nil {
		return nil, err
	}
	return layout.Services(r.layout, r.config.Log, all), nil
}

// readAll gives the records below a directory, nil if there is no such directory.
func (r *registry) readAll(ctx context.Context, op, name, directory string) (all []layout.Record, index uint64, err error) {
	_, err = call(ctx, r, op, name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		var node *client.Node
		node, index, err = r.get(ctx, keys, strings.TrimSuffix(directory, "/"))
		all = nil
		if node != nil {
			all = []layout.Record{}
			leaves(node, func(leaf *client.Node) {
				all = append(all, layout.Record{Key: leaf.Key, Value: []byte(leaf.Value)})
			})
		}
		return nil, err
	})
	return all, index, err
}

// get reads a key with all below it. There being none gives nil.
func (r *registry) get(ctx context.Context, keys client.KeysAPI, key string) (*client.Node, uint64, error) {
	response, err := keys.Get(ctx, key, &client.GetOptions{Recursive: true, Quorum: !r.config.Stale})
	return found(response, err)
}

// own reads a key that is to be written next: never a stale one.
func own(ctx context.Context, keys client.KeysAPI, key string) (*client.Node, error) {
	response, err := keys.Get(ctx, key, &client.GetOptions{Quorum: true})
	node, _, err := found(response, err)
	return node, err
}

// found takes a read's answer apart: that there is no such key is none of its errors.
func found(response *client.Response, err error) (*client.Node, uint64, error) {
	if failure, ok := failureOf(err); ok && failure.Code == client.ErrorCodeKeyNotFound {
		return nil, failure.Index, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return response.Node, response.Index, nil
}

// leaves visits all that is no directory.
func leaves(node *client.Node, visit func(*client.Node)) {
	if !node.Dir {
		visit(node)
	}
	for _, child := range node.Nodes {
		leaves(child, visit)
	}
}

// revision is etcd's count of changes as a snapshot shows it.
func revision(index uint64) string { return strconv.FormatUint(index, 10) }

// seconds is a TTL as etcd takes it: whole seconds, never less than asked.
func seconds(ttl time.Duration) time.Duration {
	return (ttl + time.Second - 1).Truncate(time.Second)
}
