// Package docker announces what the containers of a Docker engine say that they serve: for each service,
// where everyone reaches it.
//
// # What a container says
//
// The variable DISCOVER in its environment (Config.Variable) lists services and their ports within the
// container, as an ENV of its Dockerfile or an -e of docker run:
//
//	DISCOVER=web:8080, stats:8125/udp
//
// A part is name:port[/protocol]; commas or blanks stand between parts; the protocol is tcp, udp or sctp,
// tcp when left out. Names have letters, digits, ".", "_" and "-". Each part is an instance. Labels say the same, and
// add to it: they declare one instance with several named ports, and what it has beside its address.
//
//	envharness.service=web            the container's service; or parts, as the variable has them
//	envharness.port.http=8080         one of its ports, number[/protocol], by name
//	envharness.tags=blue, canary      of all services of the container
//	envharness.metadata.version=1.4   of all, a key a label
//	envharness.shard=eu               of all
//
//	envharness.service.api=9090       another service, its port without a name
//	envharness.service.api.port.grpc=9091
//	envharness.service.api.tags=green in place of those of all; the same for .metadata.KEY and .shard
//
// What is said twice counts once; where labels contradict each other, the one with the service's name counts. What
// cannot be read, or a port that cannot be reached from outside, is skipped with a warning that names the
// container and the part or label, once until the warning changes; nothing else is lost by it. Of one container 100
// ports are read, and 16 KiB of tags, metadata and shards.
//
// With Config.DockerRegistrator, every published port of a container is announced as gliderlabs/registrator does, by
// its SERVICE_* variables and labels; where our variable or labels say something of a port, they count.
//
// # Where it is reached
//
// A port that is published on all addresses of the host (0.0.0.0 or ::) is reached at Config.HostIP and the
// public port; one that is published on one address, at that one, unless it is loopback. Of several, the
// first of these is taken: Config.HostIP by its IP version, one address, the host's address of the other IP
// version; where none of that version is known, the port is skipped with a warning. Addresses that were found by
// the default routes are looked for every few seconds, and a change is announced. A container in the host's network
// is reached at Config.HostIP and the port itself, one in another container's network as that one.
//
// Config.DockerAddress announces the container's own address and port in place of these, published or not: that in
// the network it names, else in the container's only one; of several the first by name is taken, with a warning.
// An IPv4 address is taken before one by IPv6.
//
// # When it is announced
//
// While it runs. Its HEALTHCHECK, if it has one, is the state: starting, passing or failing, with what it printed
// last as the reason. A paused container answers nobody, so it is failing until it goes on. A container keeps its
// ID, <host id>:<its first 12 characters>, with - for the colon in the layout skydns, through restarts of the container and of the exporter; a further service
// of the same name in it has "-<port>" appended. Of two containers that ask for one ID by SERVICE_ID, the first has it.
//
// The engine tells of changes; what was missed is found when it is asked for everything, at the start, after
// each break and every minute. While the engine is away, all stays announced: containers can outlive it.
// Announcements are leases, so a dead host's are gone within the TTL. A clean stop leaves them to it too, for
// the next start to take over without a gap; what is no more by then, is withdrawn by that start.
//
// The engine is only read, never changed.
package docker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

const (
	// reconcileEvery is how often everything is looked at, whatever events said.
	reconcileEvery = time.Minute

	// addressEvery is how often the host's own addresses are looked for.
	addressEvery = 5 * time.Second

	// stableAfter is how long an engine is followed before the wait after a break begins short again. One that
	// ends its stream of events at once would be asked for everything ten times a second.
	stableAfter = 10 * time.Second

	// restAfterLoss is how long an entry that was taken away or refused is not tried again.
	restAfterLoss = time.Minute
)

// Exporter announces the services of one engine's containers.
type Exporter struct {
	host     host
	log      *slog.Logger
	engine   engine
	registry discovery.Registry
	close    func() error // of the registry, if it is our own

	addresses     addresses                    // of Run's goroutine
	findAddresses func() ([]netip.Addr, error) // nil: they do not change

	reconcileEvery, addressEvery time.Duration
	dirty                        *dirty
	publisher                    *publisher
	said                         map[string]string // what was told of a container, by its ID
	sweep                        sync.Once
	helpers                      sync.WaitGroup
}

// Exported is a service that is announced for a container.
type Exported struct {
	Container string `json:"container"` // the first 12 characters of its ID
	Name      string `json:"name"`      // the container's
	Service   string `json:"service"`
	Port      string `json:"port"`    // its name
	Address   string `json:"address"` // as tcp://10.0.0.5:49157
}

// New checks a configuration. Neither the engine nor the registry is asked for anything yet. The caller runs
// the Exporter, which releases what New took.
func New(config Config) (*Exporter, error) {
	host, err := newHost(config)
	if err != nil {
		return nil, err
	}
	addresses, find, err := newFinder(config)
	if err != nil {
		return nil, err
	}
	engine, err := openEngine(config.DockerURL)
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		host:           host,
		log:            cmp.Or(config.Log, slog.Default()),
		engine:         engine,
		registry:       config.Registry,
		close:          func() error { return nil },
		dirty:          newDirty(),
		said:           map[string]string{},
		addresses:      addresses,
		findAddresses:  find,
		reconcileEvery: cmp.Or(config.reconcileEvery, reconcileEvery),
		addressEvery:   cmp.Or(config.addressEvery, addressEvery),
	}
	if e.registry == nil {
		if e.registry, err = openRegistry(config, e.log); err != nil {
			engine.close()
			return nil, err
		}
		e.close = e.registry.Close
	}
	e.publisher = newPublisher(publisherConfig{
		registry: e.registry,
		ttl:      config.TTL,
		rest:     cmp.Or(config.restAfterLoss, restAfterLoss),
		again:    func(container string) { e.dirty.add(container) },
		log:      e.log,
	})
	return e, nil
}

// Run announces until ctx ends, which is no error, and then leaves what it announced to the TTL. Neither an
// engine nor a registry that is away ends it. It is called once.
func (e *Exporter) Run(ctx context.Context) error {
	defer e.engine.close()
	var backoff discovery.Backoff
	lost := false
	for ctx.Err() == nil {
		var since time.Time
		err := e.follow(ctx, func() {
			e.log.Info("following the Docker engine", "engine", e.engine.url(), "host", e.host.id, "address", e.addresses.String())
			lost, since = false, time.Now()
		})
		if !since.IsZero() && time.Since(since) >= stableAfter {
			backoff.Reset()
		}
		if ctx.Err() == nil && !lost {
			lost = true
			e.log.Warn("cannot follow the Docker engine, trying again; what is announced stays", "engine", e.engine.url(), "error", err,
				"hint", "see whether it runs and may be asked: docker --host "+e.engine.url()+" version")
		}
		_ = backoff.Wait(ctx)
	}
	e.helpers.Wait()
	e.publisher.detach()
	return e.close()
}

// follow looks at all containers, which ready tells, and then at those that change, until the stream of
// events ends. Events are asked for from before that look, so nothing falls between.
func (e *Exporter) follow(ctx context.Context, ready func()) error {
	since, err := e.engine.clock(ctx)
	if err != nil {
		return err
	}
	stream, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	e.helpers.Go(func() { ended <- e.engine.follow(stream, since, func(id string) { e.dirty.add(id) }) })

	if err := e.reconcile(ctx); err != nil {
		return err
	}
	ready()
	e.sweep.Do(func() { e.helpers.Go(func() { e.deregisterLeftovers(ctx) }) })
	tick := time.NewTicker(e.reconcileEvery)
	defer tick.Stop()
	addressTick := time.NewTicker(e.addressEvery)
	defer addressTick.Stop()
	for {
		select {
		case err = <-ended:
			return err
		case <-addressTick.C:
			if e.renewAddresses() {
				err = e.reconcile(ctx)
			}
		case <-tick.C:
			err = e.reconcile(ctx)
		case <-e.dirty.wake:
			err = e.lookAtDirty(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// renewAddresses looks for the host's addresses again, and reports whether they are others now.
func (e *Exporter) renewAddresses() bool {
	if e.findAddresses == nil {
		return false
	}
	found, _ := e.findAddresses() // what is not found stays
	renewed := e.addresses.renewed(found)
	if renewed == e.addresses {
		return false
	}
	e.log.Warn("this host's address has changed, announcing the new one", "old", e.addresses.String(), "new", renewed.String())
	e.addresses = renewed
	return true
}

// reconcile looks at every container that runs or has something announced.
func (e *Exporter) reconcile(ctx context.Context) error {
	e.renewAddresses()
	running, err := e.engine.running(ctx)
	if err != nil {
		return err
	}
	e.dirty.add(running...)
	e.dirty.add(e.publisher.containers()...)
	return e.lookAtDirty(ctx)
}

func (e *Exporter) lookAtDirty(ctx context.Context) error {
	for _, id := range e.dirty.take() {
		if err := e.lookAt(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// lookAt makes the registry true to one container. An error is the engine's; all is looked at after it.
func (e *Exporter) lookAt(ctx context.Context, id string) error {
	c, serves, err := e.engine.read(ctx, id)
	switch {
	case e.engine.lost(ctx, err):
		return err
	case err != nil:
		e.tell(id, shorten(id), []error{fmt.Errorf("cannot be read: %w", err)}, nil)
		return nil
	case !serves:
		e.publisher.want(id, nil)
		delete(e.said, id)
		return nil
	}
	r := e.host.instances(c, e.addresses)
	taken := e.publisher.want(c.id, r.instances)
	e.tell(c.id, c.name, append(r.complaints, taken...), r.notes)
	return nil
}

// tell says what is to be said about a container when that is new.
func (e *Exporter) tell(id, name string, complaints []error, notes []string) {
	text := fmt.Sprint(complaints, notes)
	if len(complaints)+len(notes) == 0 {
		delete(e.said, id)
		return
	}
	if e.said[id] == text {
		return
	}
	e.said[id] = text
	for _, complaint := range complaints {
		e.log.Warn(complaint.Error(), "container", name)
	}
	for _, note := range notes {
		e.log.Info(note, "container", name)
	}
}

// Exported lists what is announced, a port a line, by container name, service, address and port. It may be called
// at any time.
func (e *Exporter) Exported() []Exported {
	all := []Exported{}
	for id, instances := range e.publisher.wanted() {
		for _, in := range instances {
			for name, port := range in.Ports {
				all = append(all, Exported{
					Container: shorten(id),
					Name:      in.Metadata[containerKey],
					Service:   in.Service,
					Port:      name,
					Address:   port.Protocol + "://" + net.JoinHostPort(in.Host, strconv.Itoa(port.Number)),
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b Exported) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return all
}
