package docker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/envharness/envharness/discovery"
)

// The metadata of a container's instances.
const (
	realmKey     = "realm" // as the totem layout has it
	hostKey      = "host_id"
	containerKey = "container" // its name
)

// host is what a container's services are announced as belonging to.
type host struct {
	id          string
	join        string // stands between it and the container in the IDs of instances
	realm       string
	variable    string
	allow       []string // globs of the names that may be published; none: all
	health      bool     // a HEALTHCHECK is the state
	inner       inner
	registrator bool // read registrator's variables too
}

// reading is what is to be announced for a running container, and what is to be said about it.
type reading struct {
	instances  []discovery.Instance
	complaints []error  // mostly about parts that are left out
	notes      []string // what is left out on purpose
}

// locator gives where everyone reaches a port.
type locator func(port) (netip.AddrPort, error)

// instances reads a container.
func (h host) instances(c container, at addresses) reading {
	declared := declared(h.variable, c.env, c.labels)
	if h.registrator {
		declared.readRegistrator(c, c.declaresPorts(h.inner.enabled))
	}
	declared.checkCommon()
	r := reading{complaints: declared.complaints, notes: declared.notes}
	locate := func(p port) (netip.AddrPort, error) { return publicAddress(at, c, p) }
	if h.inner.enabled {
		own, ambiguous, err := h.inner.address(at, c)
		locate = func(p port) (netip.AddrPort, error) { return netip.AddrPortFrom(own, p.number), err }
		if ambiguous != nil && len(declared.services) > 0 {
			r.complaints = append(r.complaints, ambiguous)
		}
	}
	taken := map[key]bool{}
	for _, s := range declared.services {
		if in, ok := h.instance(c, s, locate, &r); ok {
			in.ID = h.instanceID(c, s, taken)
			taken[keyOf(in)] = true
			r.instances = append(r.instances, in)
		}
	}
	return r
}

// instance makes one, without its ID. It is not ok if none of its ports can be reached.
func (h host) instance(c container, s service, locate locator, r *reading) (in discovery.Instance, ok bool) {
	in = discovery.Instance{
		Service:  s.name,
		Ports:    map[string]discovery.Port{},
		Tags:     s.tags,
		Metadata: maps.Clone(s.metadata),
	}
	in.State, in.Reason = h.state(c)
	if in.Metadata == nil {
		in.Metadata = map[string]string{}
	}
	maps.Copy(in.Metadata, map[string]string{realmKey: h.realm, hostKey: h.id, containerKey: c.name})
	if s.shard != nil {
		in.Shard = *s.shard
	}
	for _, name := range s.portNames() {
		if err := h.addPort(&in, name, s.ports[name], locate); err != nil {
			r.complaints = append(r.complaints, fmt.Errorf("skipping %q: %w", s.part(name), err))
		}
	}
	return in, len(in.Ports) > 0
}

// addPort adds a port that can be reached at the address of those before it.
func (h host) addPort(in *discovery.Instance, name string, p port, locate locator) error {
	if !h.allowed(in.Service) {
		return errors.New("containers may not publish this name here (--docker-allow)")
	}
	address, err := locate(p)
	if err != nil {
		return err
	}
	host := address.Addr().String()
	if in.Host != "" && in.Host != host {
		return fmt.Errorf("it is reached at %s and another port of this instance at %s; declare it as a service of its own", host, in.Host)
	}
	in.Host = host
	in.Ports[name] = discovery.Port{Number: int(address.Port()), Protocol: p.protocol}
	return nil
}

// state is what the container's HEALTHCHECK says, with its last words where it does not pass. A paused container
// answers nobody.
func (h host) state(c container) (state discovery.State, reason string) {
	switch {
	case c.paused:
		return discovery.Failing, "the container is paused"
	case !h.health:
		return discovery.Passing, ""
	}
	switch c.health {
	case apicontainer.Starting:
		return discovery.Starting, c.lastWords
	case apicontainer.Unhealthy:
		return discovery.Failing, c.lastWords
	}
	return discovery.Passing, ""
}

func (h host) allowed(name string) bool {
	return len(h.allow) == 0 || slices.ContainsFunc(h.allow, func(glob string) bool {
		matches, _ := path.Match(glob, name) // the globs were checked
		return matches
	})
}

// instanceID is <host id>:<container>, and for a further service of the same name <host id>:<container>-<port>,
// as the totem layout has it in its keys. One name on one port number by several protocols needs these too.
func (h host) instanceID(c container, s service, taken map[key]bool) string {
	if s.id != "" && !taken[key{s.name, s.id}] {
		return s.id
	}
	first := s.ports[s.portNames()[0]]
	id := h.id + h.join + c.short()
	for _, suffix := range []string{"", fmt.Sprintf("-%d", first.number), fmt.Sprintf("-%s-%d", first.protocol, first.number)} {
		if !taken[key{s.name, id + suffix}] {
			return id + suffix
		}
	}
	return id // unreachable: no service is declared twice
}
