package dns

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

// reach makes instances of endpoints: those of one target are one instance when each is another port.
func (l *lookup) reach(endpoints []endpoint, beside []miekg.RR) error {
	byTarget := map[string][]endpoint{}
	for _, e := range endpoints {
		byTarget[e.target] = append(byTarget[e.target], e)
	}
	targets := slices.Sorted(maps.Keys(byTarget))
	hosts, err := l.hosts(targets, beside)
	if err != nil {
		return err
	}
	for i, target := range targets {
		if len(hosts[i]) > 0 {
			l.instances = append(l.instances, l.instancesAt(target, byTarget[target], hosts[i])...)
		}
	}
	return nil
}

// hosts gives the addresses of each target: those that servers told unasked, or else asked for.
func (l *lookup) hosts(targets []string, beside []miekg.RR) ([][]string, error) {
	told := map[string][]miekg.RR{}
	for _, record := range beside {
		name := miekg.CanonicalName(record.Header().Name)
		told[name] = append(told[name], record)
	}
	hosts := make([][]string, len(targets))
	return hosts, several(len(targets), func(i int) error {
		addresses := sorted(told[targets[i]])
		if len(addresses) > 0 {
			l.countTTL(told[targets[i]])
			hosts[i] = texts(addresses)
			return nil
		}
		found, err := l.hostsOf(targets[i])
		hosts[i] = found
		return err
	})
}

// countTTL lets an answer count for no longer than the addresses that came with it.
func (l *lookup) countTTL(records []miekg.RR) {
	counted := answer{ttl: maxTTL}
	for _, record := range records {
		if _, ok := addressOf(record); ok {
			counted.within(record.Header().Ttl)
		}
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.ttl = min(l.ttl, counted.ttl)
}

// hostsOf asks for the addresses of a target. One without any is skipped; one whose own servers fail, or that is of no
// zone of these, is known by its name, so that it hides neither itself nor the others.
func (l *lookup) hostsOf(target string) ([]string, error) {
	addresses, err := l.addressesOf(target)
	end := unknownEnd{name: target}
	errors.As(err, &end)
	switch name := strings.TrimSuffix(end.name, "."); {
	case errors.Is(err, errEndless), err == nil && len(addresses) == 0:
		if err == nil {
			err = errors.New("neither an A nor an AAAA record")
		}
		l.config.Log.Warn("skipping an SRV record whose target has no address", "key", target, "service", l.service, "error", err)
		return nil, nil
	case isAny(err, errServerFailure, discovery.ErrDenied) && isName(name):
		l.config.Log.Warn("cannot find the address of an SRV record's target, its name stays", "key", target, "service", l.service, "error", err)
		return []string{name}, nil
	}
	return texts(addresses), err
}

func isAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

func texts(addresses []netip.Addr) (all []string) {
	for _, address := range addresses {
		all = append(all, address.String())
	}
	return all
}

// instancesAt makes the instances of one target: one, or one a record where a port has several numbers.
func (l *lookup) instancesAt(target string, endpoints []endpoint, hosts []string) []discovery.Instance {
	in := discovery.Instance{
		ID:       l.id(target),
		Service:  l.service,
		Host:     hosts[0],
		State:    discovery.Passing,
		Metadata: map[string]string{priorityKey: strconv.Itoa(int(endpoints[0].priority))},
	}
	if len(hosts) > 1 {
		in.Metadata[addressesKey] = strings.Join(hosts, ",")
	}
	var single bool
	if in.Ports, single = portsOf(endpoints); single {
		return []discovery.Instance{in}
	}
	var all []discovery.Instance
	for _, e := range endpoints {
		one := in.Clone()
		one.ID += ":" + strconv.Itoa(e.Number)
		one.Metadata[priorityKey] = strconv.Itoa(int(e.priority))
		one.Ports, _ = portsOf([]endpoint{e})
		all = append(all, one)
	}
	return all
}

// portsOf gives the ports of one instance, if they can be of one. A port of no name is the default one, or is called
// by its number where there are several. Number 0 is no port.
func portsOf(endpoints []endpoint) (ports map[string]discovery.Port, one bool) {
	ports = map[string]discovery.Port{}
	for _, e := range endpoints {
		name := e.port
		if name == "" && len(endpoints) == 1 {
			name = discovery.DefaultPort
		} else if name == "" {
			name = strconv.Itoa(e.Number)
		}
		if _, taken := ports[name]; taken {
			return nil, false
		}
		ports[name] = e.Port
	}
	maps.DeleteFunc(ports, func(_ string, p discovery.Port) bool { return p.Number == 0 })
	if len(ports) == 0 {
		ports = nil
	}
	return ports, true
}

// id is what a target is called: its name below the service's, else the whole.
func (l *lookup) id(target string) string {
	if inner, below := strings.CutSuffix(target, "."+miekg.CanonicalName(l.base)); below {
		return inner
	}
	return strings.TrimSuffix(target, ".")
}
