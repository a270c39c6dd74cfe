// Package zookeeper is the engine zk://HOST,HOST/PREFIX, and zks:// over TLS: ZooKeeper by the client library
// go-zookeeper.
//
// A registration is an ephemeral node on a session of its own, which the client keeps alive and the server
// ends a while after it has heard the last of it. Everything else goes over one shared connection: reads, which
// a sync precedes, writes, and the watches, which all are set anew when that connection is lost.
package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// defaultPort is where ZooKeeper listens.
const defaultPort = 2181

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
	Check:    driver.Check(open),
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return open(config)
	},
}

// validate refuses prefixes that no node can have.
func validate(config discovery.Config) error {
	if _, ok := accesses[config.Options["acl"]]; !ok {
		return invalid("acl %q is none of creator, read, open", config.Options["acl"])
	}
	if config.Prefix == "" {
		return nil
	}
	for i, name := range strings.Split(config.Prefix, "/") {
		if err := layout.ValidNode(name); err != nil {
			return invalid("%q is no prefix: %w", config.Prefix, err)
		}
		if i == 0 && name == "zookeeper" {
			return invalid("the prefix /zookeeper is the server's own")
		}
	}
	return nil
}

// registry is one opening of an ensemble. It implements discovery.Values and discovery.Elector too.
type registry struct {
	config     discovery.Config
	layout     layout.Layout
	access     access
	lookup     func(ctx context.Context, network, host string) ([]netip.Addr, error)
	hosts      *hosts
	connection *connection
	hubs       hubs
	group      *driver.Group

	life context.Context // ends when the registry is closed
	end  context.CancelFunc

	lock     sync.Mutex // no session is begun once closed
	closed   bool
	sessions sync.WaitGroup
}

func open(config discovery.Config) (*registry, error) {
	r, err := newRegistry(config)
	if err != nil {
		return nil, &discovery.Error{Op: "open registry", Engine: config.String(), Err: err}
	}
	return r, nil
}

func newRegistry(config discovery.Config) (*registry, error) {
	keys, err := layout.New(config.Layout, config.Prefix, config.Hostname())
	if err != nil {
		return nil, err
	}
	if _, err := config.TLSConfig(config.Addresses(defaultPort)[0]); err != nil { // for its early errors
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
	r := &registry{
		config: config,
		layout: keys,
		access: access,
		hosts:  newHosts(config),
		hubs:   hubs{byService: map[string]*hub{}},
		group:  driver.NewGroup(),
		lookup: net.DefaultResolver.LookupNetIP,
	}
	r.connection = &connection{registry: r}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

func (r *registry) Close() error {
	r.end()
	r.group.Close()
	r.connection.close()
	r.lock.Lock()
	r.closed = true
	r.lock.Unlock()
	r.sessions.Wait()
	return nil
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := driver.Accept(r.config, in, ttl, r.fit)
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return driver.Register(ctx, r.group, newLease(r, what.TTL), what), nil
}

// fit gives an instance its ID, and refuses one that cannot be written.
func (r *registry) fit(in discovery.Instance) (discovery.Instance, error) {
	in, err := r.layout.Identify(in)
	if err == nil {
		_, err = r.encode(in)
	}
	if err == nil {
		layout.WarnLost(r.layout, r.config.Log, in)
	}
	return in, err
}

// locate gives an instance the address that a record of lighthouse needs, where it has names alone.
func (r *registry) locate(ctx context.Context, in discovery.Instance) (discovery.Instance, error) {
	lighthouse, is := r.layout.(layout.Lighthouse)
	if !is || lighthouse.IP(in) != "" {
		return in, nil
	}
	found, err := r.lookup(ctx, "ip", in.Host)
	if err != nil {
		return in, discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("this layout writes an address, and the host has none: %w", err))
	}
	in.PrivateHost = found[0].Unmap().String()
	return in, nil
}

// encode gives an instance's record, nil when it has none to be read.
func (r *registry) encode(in discovery.Instance) (*layout.Record, error) {
	records, err := r.layout.Encode(in)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return &records[0], validSize(records[0].Key, records[0].Value)
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	const op = "read service"
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return discovery.Snapshot{}, r.fail(op, service, err)
	}
	return call(ctx, r, op, service, r.connection.get, func(ctx context.Context, s *session) (discovery.Snapshot, error) {
		none := discovery.NewSnapshot(service, revision(0), q, nil)
		directory := nodePath(prefix)
		if err := r.sync(ctx, s); err != nil {
			return none, err
		}
		below, err := s.children(ctx, directory)
		if missing(err) {
			none.Never = true
			return none, nil
		}
		if err != nil {
			return none, err
		}
		nodes, err := readAllowed(ctx, s, directory, below.names, s.get)
		newest := below.stat.Pzxid
		records := make([]layout.Record, len(nodes))
		for i, one := range nodes {
			newest = max(newest, one.value.stat.Mzxid)
			records[i] = layout.Record{Key: join(directory, one.name), Value: one.value.data}
		}
		all := layout.Decode(r.layout, r.config.Log, records)
		return discovery.NewSnapshot(service, revision(newest), q, all), err
	})
}

func (r *registry) Services(ctx context.Context) ([]string, error) {
	return call(ctx, r, "list services", "", r.connection.get, func(ctx context.Context, s *session) ([]string, error) {
		if err := r.sync(ctx, s); err != nil {
			return nil, err
		}
		root := nodePath(r.layout.ServicesPrefix())
		services, err := s.children(ctx, root)
		if missing(err) {
			return []string{}, nil
		}
		if err != nil {
			return nil, err
		}
		found, err := readAllowed(ctx, s, root, services.names, func(ctx context.Context, directory string) (*layout.Record, error) {
			return r.anyInstance(ctx, s, directory)
		})
		records := []layout.Record{}
		for _, one := range found {
			if one.value != nil {
				records = append(records, *one.value)
			}
		}
		return layout.Services(r.layout, r.config.Log, records), err
	})
}

// anyInstance gives one record of an instance below a service's node, nil when it has none.
func (r *registry) anyInstance(ctx context.Context, s *session, directory string) (*layout.Record, error) {
	below, err := s.children(ctx, directory)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var refused error
	for _, name := range below.names {
		n, err := s.get(ctx, join(directory, name))
		switch {
		case missing(err):
			continue
		case denied(err):
			refused = err
			continue
		case err != nil:
			return nil, err
		}
		record := layout.Record{Key: join(directory, name), Value: n.data}
		if _, err := r.layout.Decode(record.Key, record.Value); err == nil {
			return &record, nil
		}
	}
	return nil, refused
}

// sync makes the server that is asked as new as the leader, unless the URL lets it be.
func (r *registry) sync(ctx context.Context, s *session) error {
	if r.config.Stale {
		return nil
	}
	return s.sync(ctx)
}

// revision is ZooKeeper's count of changes as a snapshot shows it.
func revision(zxid int64) string { return fmt.Sprintf("%#x", zxid) }

// invalid makes an error that matches discovery.ErrInvalid.
func invalid(format string, args ...any) error {
	return discovery.Mark(discovery.ErrInvalid, fmt.Errorf(format, args...))
}

var errClosed = discovery.Mark(discovery.ErrUnavailable, errors.New("the registry was closed"))
