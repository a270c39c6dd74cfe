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
// tcp when left out. Names have letters, digits, ".", "_" and "-". Labels say the same, and add to it:
//
//	envharness.service=web:8080, stats:8125/udp
//	envharness.service.web=8080
//
// What is said twice counts once. A part that cannot be read, or whose port cannot be reached from outside,
// is skipped with a warning that names the container and the part, once until the warning changes.
//
// # Where it is reached
//
// A port that is published on all addresses of the host (0.0.0.0 or ::) is reached at Config.HostIP and the
// public port; one that is published on one address, at that one, unless it is loopback. Of several, the
// first of these is taken: Config.HostIP by its own family, one address, Config.HostIP by the other family.
// A container in the host's network is reached at Config.HostIP and the port itself, one in another
// container's network as that one.
//
// # When it is announced
//
// While it runs. A paused container answers nobody, so it is withdrawn until it goes on. A container keeps
// its ID, <host id>:<its first 12 characters>, through restarts of the container and of the exporter; a
// further service of the same name in it has "-<port>" appended.
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
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
)

// DefaultVariable is where containers declare services.
const DefaultVariable = "DISCOVER"

// DefaultRealm is the realm of hosts that are given none.
const DefaultRealm = "default"

const (
	// reconcileEvery is how often everything is looked at, whatever events said.
	reconcileEvery = time.Minute

	// restAfterLoss is how long an announcement that was taken away or refused is not tried again.
	restAfterLoss = time.Minute
)

// Config is what an exporter is told. Its zero value works, but for the registry.
type Config struct {
	Variable    string   // where containers declare services; DefaultVariable when empty
	HostIP      string   // the host's address that everyone reaches; the default route's source when empty
	HostID      string   // the host's name in IDs, unlike that of other hosts; the host name when empty
	Realm       string   // a name for the part of the fleet; DefaultRealm when empty
	Prefix      string   // the namespace in the registry, when RegistryURL has none
	DockerURL   string   // as unix:///var/run/docker.sock; DOCKER_HOST or the usual socket when empty
	DockerAllow []string // globs as of path.Match of names that containers may publish; all when empty
	RegistryURL string   // the registry, as discovery/engines has it

	// Registry is used in place of RegistryURL. The caller closes it, after Run.
	Registry discovery.Registry

	TTL time.Duration // of announcements; discovery.DefaultTTL when 0
	Log *slog.Logger  // slog.Default() when nil

	reconcileEvery, restAfterLoss time.Duration // shorter in tests
}

// Exporter announces the services of one engine's containers.
type Exporter struct {
	host     host
	log      *slog.Logger
	engine   engine
	registry discovery.Registry
	close    func() error // of the registry, if it is our own

	reconcileEvery time.Duration
	dirty          *dirty
	announcer      *announcer
	said           map[string]string // the warnings about a container, by its ID
	sweep          sync.Once
	helpers        sync.WaitGroup
}

// Exported is a service that is announced for a container.
type Exported struct {
	Container string `json:"container"` // the first 12 characters of its ID
	Name      string `json:"name"`      // the container's
	Service   string `json:"service"`
	Address   string `json:"address"` // as tcp://10.0.0.5:49157
}

// New checks a configuration. Neither the engine nor the registry is asked for anything yet. The caller runs
// the Exporter, which releases what New took.
func New(config Config) (*Exporter, error) {
	host, err := newHost(config)
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
		reconcileEvery: cmp.Or(config.reconcileEvery, reconcileEvery),
	}
	if e.registry == nil {
		if e.registry, err = openRegistry(config, e.log); err != nil {
			engine.close()
			return nil, err
		}
		e.close = e.registry.Close
	}
	e.announcer = newAnnouncer(announcing{
		registry: e.registry,
		ttl:      config.TTL,
		rest:     cmp.Or(config.restAfterLoss, restAfterLoss),
		again:    func(container string) { e.dirty.add(container) },
		log:      e.log,
	})
	return e, nil
}

func newHost(config Config) (h host, err error) {
	h = host{
		id:       config.HostID,
		realm:    cmp.Or(config.Realm, DefaultRealm),
		variable: cmp.Or(config.Variable, DefaultVariable),
		allow:    config.DockerAllow,
	}
	if h.id == "" {
		if h.id, err = os.Hostname(); err != nil {
			return h, fmt.Errorf("cannot find this host's name: %w; give it: --host-id NAME", err)
		}
	}
	for option, name := range map[string]string{"--host-id": h.id, "--realm": h.realm} {
		if err := validName(name); err != nil {
			return h, fmt.Errorf("%s %q: %w", option, name, err)
		}
	}
	for _, glob := range h.allow {
		if _, err := path.Match(glob, ""); err != nil {
			return h, fmt.Errorf("--docker-allow %q is no glob as web-*: %w", glob, err)
		}
	}
	if config.HostIP == "" {
		h.ip, err = ownAddress()
		return h, err
	}
	h.ip, err = netip.ParseAddr(strings.Trim(config.HostIP, "[]"))
	if err != nil || h.ip.IsUnspecified() {
		return h, fmt.Errorf("--host-ip %q is no address as 10.0.0.5 or 2001:db8::5", config.HostIP)
	}
	h.ip = h.ip.Unmap()
	return h, nil
}

func openRegistry(config Config, log *slog.Logger) (discovery.Registry, error) {
	if config.RegistryURL == "" {
		return nil, errors.New("no registry to announce to; give it: --registry etcd://HOST")
	}
	url, err := withPrefix(config.RegistryURL, config.Prefix)
	if err != nil {
		return nil, err
	}
	return engines.Open(context.Background(), url, discovery.WithLog(log))
}

// withPrefix puts the prefix into a URL as its path.
func withPrefix(url, prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	scheme, rest, found := strings.Cut(url, "://")
	if prefix == "" || !found {
		return url, nil
	}
	hosts, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		hosts, tail = rest[:i], rest[i:]
	}
	own, query := tail, ""
	if i := strings.IndexAny(tail, "?#"); i >= 0 {
		own, query = tail[:i], tail[i:]
	}
	if own = strings.Trim(own, "/"); own != "" && own != prefix {
		return "", fmt.Errorf("--prefix %q, and the registry's URL has the prefix %q; give one of them", prefix, own)
	}
	return scheme + "://" + hosts + "/" + prefix + query, nil
}

// Run announces until ctx ends, which is no error, and then leaves what it announced to the TTL. Neither an
// engine nor a registry that is away ends it. It is called once.
func (e *Exporter) Run(ctx context.Context) error {
	defer e.engine.close()
	var backoff discovery.Backoff
	lost := false
	for ctx.Err() == nil {
		err := e.follow(ctx, func() {
			e.log.Info("following the Docker engine", "engine", e.engine.url(), "host", e.host.id, "address", e.host.ip)
			backoff.Reset()
			lost = false
		})
		if ctx.Err() == nil && !lost {
			lost = true
			e.log.Warn("cannot follow the Docker engine, trying again; what is announced stays", "engine", e.engine.url(), "error", err,
				"hint", "see whether it runs and may be asked: docker --host "+e.engine.url()+" version")
		}
		_ = backoff.Wait(ctx)
	}
	e.helpers.Wait()
	e.announcer.leave()
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
	e.sweep.Do(func() { e.helpers.Go(func() { e.withdrawLeftovers(ctx) }) })
	tick := time.NewTicker(e.reconcileEvery)
	defer tick.Stop()
	for {
		select {
		case err = <-ended:
			return err
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

// reconcile looks at every container that runs or has something announced.
func (e *Exporter) reconcile(ctx context.Context) error {
	running, err := e.engine.running(ctx)
	if err != nil {
		return err
	}
	e.dirty.add(running...)
	e.dirty.add(e.announcer.containers()...)
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
		e.warn(id, shorten(id), []error{fmt.Errorf("cannot be read: %w", err)})
		return nil
	case !serves:
		e.announcer.want(id, nil)
		delete(e.said, id)
		return nil
	}
	instances, complaints := e.host.instances(c)
	e.warn(c.id, c.name, complaints)
	e.announcer.want(c.id, instances)
	return nil
}

// warn says what is wrong with a container when that is new.
func (e *Exporter) warn(id, name string, complaints []error) {
	text := fmt.Sprint(complaints)
	if len(complaints) == 0 {
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
}

// Exported lists what is announced, by container name, service and address. It may be called at any time.
func (e *Exporter) Exported() []Exported {
	all := []Exported{}
	for _, in := range e.announcer.announced() {
		container := strings.TrimPrefix(in.ID, e.host.id+":")
		port := in.Ports[discovery.DefaultPort]
		all = append(all, Exported{
			Container: container[:min(12, len(container))],
			Name:      in.Metadata[containerKey],
			Service:   in.Service,
			Address:   port.Protocol + "://" + net.JoinHostPort(in.Host, strconv.Itoa(port.Number)),
		})
	}
	slices.SortFunc(all, func(a, b Exported) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Address, b.Address))
	})
	return all
}
