package dns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

// atOnce is how many questions of one look-up are under way.
const atOnce = 16

// What SRV records say beside host and port, and the addresses of a host that has several, stand in the metadata. The
// weight does not: servers make it of how many there are.
const (
	priorityKey  = "priority"
	addressesKey = "addresses"
)

// lookup is one reading of a service.
type lookup struct {
	*backend
	ctx     context.Context
	service string
	base    string // the service's full name

	lock sync.Mutex
	found
}

// lookUp reads a service, within the registry's time.
func (b *backend) lookUp(ctx context.Context, service string) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	all := found{absent: true, ttl: maxTTL}
	names, err := b.resolver.search(b.base(service))
	for _, name := range names {
		l := &lookup{backend: b, ctx: ctx, service: service, base: name, found: found{absent: true, ttl: maxTTL}}
		if err = l.run(); err != nil {
			return found{}, err
		}
		all.instances, all.absent, all.ttl = l.instances, all.absent && l.absent, min(all.ttl, l.ttl)
		if len(all.instances) > 0 {
			break
		}
	}
	return all, err
}

// run asks for SRV records of one port after the other, then for those of the service, then for its addresses.
func (l *lookup) run() error {
	for _, questions := range l.questions() {
		endpoints, beside, err := l.endpoints(questions)
		if err != nil {
			return err
		}
		if len(endpoints) > 0 {
			return l.reach(endpoints, beside)
		}
	}
	if strings.HasPrefix(l.service, "_") {
		return nil // a name of SRV records
	}
	return l.addresses()
}

// srvQuestion is a name that may have SRV records, and the port that they are of.
type srvQuestion struct {
	name           string
	port, protocol string // port is empty when the records are of all ports
}

// questions are those for SRV records, in groups: the first group with an answer counts.
func (l *lookup) questions() (groups [][]srvQuestion) {
	if l.addressesOnly() {
		return nil
	}
	if port, rest, found := strings.Cut(l.service, "."); found && strings.HasPrefix(port, "_") && strings.HasPrefix(rest, "_") {
		protocol, _, _ := strings.Cut(rest, ".")
		return [][]srvQuestion{{{l.base, port[1:], protocol[1:]}}}
	}
	var named []srvQuestion
	for _, p := range l.named() {
		named = append(named, srvQuestion{"_" + p.name + "._" + p.protocol + "." + l.base, p.name, p.protocol})
	}
	if len(named) > 0 {
		groups = append(groups, named)
	}
	if !strings.Contains(l.service, ".") && l.zone != "" { // RFC 2782's own form, with the zone for the name
		groups = append(groups, []srvQuestion{{"_" + l.service + "._tcp." + l.zone + ".", discovery.DefaultPort, "tcp"}})
	}
	return append(groups, []srvQuestion{{l.base, "", "tcp"}})
}

// endpoint is one SRV record.
type endpoint struct {
	target string // canonical
	port   string
	discovery.Port
	priority uint16
}

// endpoints asks a group of questions.
func (l *lookup) endpoints(questions []srvQuestion) (all []endpoint, beside []miekg.RR, err error) {
	answers, err := l.askAll(len(questions), func(i int) (string, uint16) { return questions[i].name, typeSRV })
	if err != nil {
		return nil, nil, err
	}
	for i, answer := range answers {
		beside = append(beside, answer.beside...)
		for _, record := range answer.records {
			if e, ok := endpointOf(record.(*miekg.SRV), questions[i]); ok && !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all, beside, nil
}

// endpointOf is what a record says; ok is false for the one by which a zone says that the service is not there.
func endpointOf(record *miekg.SRV, q srvQuestion) (e endpoint, ok bool) {
	e = endpoint{
		target:   miekg.CanonicalName(record.Target),
		port:     q.port,
		Port:     discovery.Port{Number: int(record.Port), Protocol: q.protocol},
		priority: record.Priority,
	}
	return e, e.target != "."
}

// askAll asks n questions, several at once. One without an answer fails them all.
func (l *lookup) askAll(n int, question func(int) (name string, kind uint16)) ([]answer, error) {
	answers := make([]answer, n)
	err := several(n, func(i int) error {
		name, kind := question(i)
		answer, err := l.resolver.ask(l.ctx, name, kind)
		answers[i] = answer
		return err
	})
	if err != nil {
		return nil, err
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, answer := range answers {
		l.ttl = min(l.ttl, answer.ttl)
		l.absent = l.absent && answer.absent
	}
	return answers, nil
}

// several does n things, some of them at once, and gives the first error of all.
func several(n int, do func(int) error) error {
	places := make(chan struct{}, atOnce)
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			errs[i] = do(i)
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// addresses makes an instance of each address of the service.
func (l *lookup) addresses() error {
	found, err := l.addressesOf(l.base)
	for _, address := range found {
		l.instances = append(l.instances, discovery.Instance{
			ID:      address.String(),
			Service: l.service,
			Host:    address.String(),
			Ports:   l.numbered(),
			State:   discovery.Passing,
		})
	}
	return err
}

// addressesOf asks for the addresses of a name: those of IPv4 first, each once.
func (l *lookup) addressesOf(name string) ([]netip.Addr, error) {
	kinds := []uint16{typeA, typeAAAA}
	answers, err := l.askAll(len(kinds), func(i int) (string, uint16) { return name, kinds[i] })
	if err != nil {
		return nil, err
	}
	return sorted(slices.Concat(answers[0].records, answers[1].records)), nil
}

func sorted(records []miekg.RR) (all []netip.Addr) {
	for _, record := range records {
		if address, ok := addressOf(record); ok {
			all = append(all, address)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare) // IPv4 before IPv6
	return slices.Compact(all)
}
