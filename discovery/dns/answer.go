package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

// How long an answer counts. A TTL of 0 is for one use, and may not become a loop; a long one may be a mistake.
const (
	minTTL = time.Second
	maxTTL = time.Minute
)

// errEndless marks aliases that lead nowhere.
var errEndless = errors.New("aliases without an end")

// answer is what servers say of a name and a type.
type answer struct {
	records []miekg.RR
	beside  []miekg.RR // what they tell unasked: addresses of targets
	absent  bool       // there is no such name
	ttl     time.Duration
}

// take adds a message to an answer. chain is the name and its aliases until now; what the message adds to it is given
// back.
func (a *answer) take(message *miekg.Msg, chain []string, kind uint16) ([]string, error) {
	aliases, records := byOwner(message.Answer, kind)
	for name := chain[len(chain)-1]; len(records[name]) == 0 && aliases[name] != nil; name = chain[len(chain)-1] {
		target := miekg.CanonicalName(aliases[name].Target)
		if slices.Contains(chain, target) || len(chain) > longestChain {
			err := fmt.Errorf("its aliases do not end: %s", strings.Join(append(chain, target), " → "))
			return nil, discovery.Mark(discovery.ErrUnavailable, discovery.Mark(errEndless, err))
		}
		a.within(aliases[name].Hdr.Ttl)
		chain = append(chain, target)
	}
	a.records = records[chain[len(chain)-1]]
	for _, record := range a.records {
		a.within(record.Header().Ttl)
	}
	a.beside = append(a.beside, message.Extra...)
	a.absent = message.Rcode == miekg.RcodeNameError
	if len(a.records) == 0 {
		a.within(negativeTTL(message.Ns))
	}
	return chain, nil
}

// byOwner sorts the records of an answer by the canonical names that they are of.
func byOwner(all []miekg.RR, kind uint16) (aliases map[string]*miekg.CNAME, records map[string][]miekg.RR) {
	aliases, records = map[string]*miekg.CNAME{}, map[string][]miekg.RR{}
	for _, record := range all {
		name := miekg.CanonicalName(record.Header().Name)
		if alias, is := record.(*miekg.CNAME); is {
			aliases[name] = alias
		}
		if record.Header().Rrtype == kind && record.Header().Class == miekg.ClassINET {
			records[name] = append(records[name], record)
		}
	}
	return aliases, records
}

// negativeTTL is how long it counts that there is nothing (RFC 2308).
func negativeTTL(authority []miekg.RR) uint32 {
	for _, record := range authority {
		if soa, is := record.(*miekg.SOA); is {
			return min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	return 0
}

// within shortens the answer's TTL to that of one of its records; one with the highest bit set is 0 (RFC 2181).
func (a *answer) within(seconds uint32) {
	if seconds > 1<<31-1 {
		seconds = 0
	}
	a.ttl = min(a.ttl, time.Duration(seconds)*time.Second)
}

// addressOf gives the address of an A or AAAA record.
func addressOf(record miekg.RR) (address netip.Addr, ok bool) {
	switch record := record.(type) {
	case *miekg.A:
		address, ok = netip.AddrFromSlice(record.A.To4())
	case *miekg.AAAA:
		address, ok = netip.AddrFromSlice(record.AAAA.To16())
	}
	return address, ok
}
