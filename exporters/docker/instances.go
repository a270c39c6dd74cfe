package docker

import (
	"errors"
	"fmt"
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
	id       string
	realm    string
	variable string
	allow    []string // globs of the names that may be published; none: all
	health   bool     // a HEALTHCHECK is the state
}

// instances gives what is to be announced for a running container. Complaints are about parts that are left
// out.
func (h host) instances(c container, at addresses) (instances []discovery.Instance, complaints []error) {
	services, complaints := declared(h.variable, c.env, c.labels)
	taken := map[key]bool{}
	for _, s := range services {
		address, err := h.publish(c, s, at)
		if err != nil {
			complaints = append(complaints, fmt.Errorf("skipping %q: %w", s, err))
			continue
		}
		in := discovery.Instance{
			Service:  s.name,
			ID:       h.instanceID(c, s, taken),
			Host:     address.Addr().String(),
			Ports:    map[string]discovery.Port{discovery.DefaultPort: {Number: int(address.Port()), Protocol: s.protocol}},
			Metadata: map[string]string{realmKey: h.realm, hostKey: h.id, containerKey: c.name},
			State:    h.state(c),
		}
		taken[keyOf(in)] = true
		instances = append(instances, in)
	}
	return instances, complaints
}

// state is what the container's HEALTHCHECK says. A paused container answers nobody.
func (h host) state(c container) discovery.State {
	switch {
	case c.paused:
		return discovery.Failing
	case !h.health:
		return discovery.Passing
	}
	switch c.health {
	case apicontainer.Starting:
		return discovery.Starting
	case apicontainer.Unhealthy:
		return discovery.Failing
	}
	return discovery.Passing
}

func (h host) publish(c container, s service, at addresses) (netip.AddrPort, error) {
	if !h.allowed(s.name) {
		return netip.AddrPort{}, errors.New("containers may not publish this name here (--docker-allow)")
	}
	return publicAddress(at, c, s)
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
	id := h.id + ":" + c.short()
	for _, suffix := range []string{"", fmt.Sprintf("-%d", s.port), fmt.Sprintf("-%s-%d", s.protocol, s.port)} {
		if !taken[key{s.name, id + suffix}] {
			return id + suffix
		}
	}
	return id // unreachable: no service is declared twice
}
