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
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
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
	Open:     driver.Opener(open),
}

// validate refuses prefixes that the server would read as others.
func validate(config discovery.Config) error {
	if config.Prefix == "" {
		return nil
	}
	for segment := range strings.SplitSeq(config.Prefix, "/") {
		if segment == "" || segment == "." || segment == ".." || !utf8.ValidString(segment) {
			return discovery.Invalidf("%q is no prefix of keys", config.Prefix)
		}
	}
	return nil
}

// registry is one opening of a cluster, with what the layout scalingo has beside instances.
type registry struct {
	*driver.Registry
	backend *backend
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
		return nil, err
	}
	b := &backend{config: config, layout: keys, connection: newConnection(members)}
	b.registry = driver.Open(config, keys, b, pace)
	if config.Layout == "scalingo" {
		b.registry.DefaultTTL = scalingoTTL
	}
	return &registry{b.registry, b}, nil
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := r.Accept(in, ttl)
	if err != nil {
		return nil, err
	}
	l := r.backend.newLease(what.Instance, what.TTL)
	share := discovery.NewRegisterOptions(options).SyncCredentials
	switch service, is := l.beside.(*publicService); {
	case is && in.Public:
		what.Credentials = service
	case is && share:
		return nil, r.Fail("register", in.Service, discovery.Invalidf("in the layout scalingo only public instances share credentials: register it as public"))
	case share:
		what.Credentials = r.SharedCredentials()
	}
	return r.Retain(ctx, l, what), nil
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	snapshot, err := r.Registry.Instances(ctx, service, q)
	if err == nil {
		snapshot.Public, err = r.backend.publicService(ctx, service)
	}
	return snapshot, r.Fail("read service", service, err)
}

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	keys, key, err := r.backend.infoKey(service)
	if err != nil {
		return nil, r.Fail("watch service", service, err)
	}
	return r.WatchBeside(ctx, service, q, key, func(s *discovery.Snapshot, item driver.Item) {
		s.Public = r.backend.public(keys, service, item)
	})
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

// revision is etcd's count of changes as a snapshot shows it.
func revision(index uint64) string { return strconv.FormatUint(index, 10) }

// seconds is a TTL as etcd takes it: whole seconds, never less than asked.
func seconds(ttl time.Duration) time.Duration {
	return (ttl + time.Second - 1).Truncate(time.Second)
}
