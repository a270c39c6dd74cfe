package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

// systemConfig names the servers of this machine: resolv.conf(5).
const systemConfig = "/etc/resolv.conf"

// longestChain is how many aliases may follow each other.
const longestChain = 8

// errServerFailure marks what a server said it cannot find out.
var errServerFailure = errors.New("the server failed")

// resolver asks servers, which follow the aliases or leave that to it.
type resolver struct {
	hosts  []string // host:port; empty: those of the system
	system string   // the file that names them
	port   string   // theirs
	zoned  bool     // names have a zone, so nothing is searched

	lock sync.Mutex
	last string // the server that answered last: it is asked first
}

func newResolver(config discovery.Config) *resolver {
	r := &resolver{system: systemConfig, port: strconv.Itoa(defaultPort), zoned: strings.Trim(config.Prefix, ".") != ""}
	if len(config.Hosts) > 0 {
		r.hosts = config.Addresses(defaultPort)
	}
	return r
}

// search gives the names, with a dot at their end, that a name may stand for: itself; or, when neither server nor zone
// is given, what resolv.conf(5) makes of it by its search list and ndots.
func (r *resolver) search(name string) ([]string, error) {
	if r.zoned || len(r.hosts) > 0 {
		return []string{name + "."}, nil
	}
	config, err := r.systems()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, full := range config.NameList(name) {
		if len(full) <= longestName+1 {
			all = append(all, full)
		}
	}
	return all, nil
}

// systems reads the file anew: it changes with the network.
func (r *resolver) systems() (*miekg.ClientConfig, error) {
	config, err := miekg.ClientConfigFromFile(r.system)
	switch {
	case errors.Is(err, os.ErrNotExist):
		config = &miekg.ClientConfig{Ndots: 1}
	case err != nil:
		return nil, discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("the servers of this machine: %w", err))
	}
	if len(config.Servers) == 0 {
		config.Servers = []string{"127.0.0.1"} // as the C library has it
	}
	return config, nil
}

// servers gives host:port of all, the one that answered last before the others.
func (r *resolver) servers(ctx context.Context) ([]string, error) {
	hosts := r.hosts
	if len(hosts) == 0 {
		config, err := r.systems()
		if err != nil {
			return nil, err
		}
		for _, server := range config.Servers {
			hosts = append(hosts, net.JoinHostPort(server, r.port))
		}
	}
	var first, others []string
	var failure error
	r.lock.Lock()
	last := r.last
	r.lock.Unlock()
	for _, host := range hosts {
		addresses, err := addressesOf(ctx, host)
		if err != nil {
			failure = err
		}
		for _, address := range addresses {
			if address == last {
				first = append(first, address)
			} else {
				others = append(others, address)
			}
		}
	}
	if all := append(first, others...); len(all) > 0 {
		return all, nil
	}
	return nil, discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("the server has no address: %w", failure))
}

// addressesOf gives all addresses of a server that is named.
func addressesOf(ctx context.Context, server string) ([]string, error) {
	host, port, err := net.SplitHostPort(server)
	if _, literal := netip.ParseAddr(host); err != nil || literal == nil {
		return []string{server}, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var all []string
	for _, one := range found {
		all = append(all, net.JoinHostPort(one.Unmap().String(), port))
	}
	return all, err
}

// exchange asks one server after the other, again and again until ctx ends, for an answer that says something: that
// there are records, or none, or no such name. A server that refuses, or says that it cannot, is not asked again.
func (r *resolver) exchange(ctx context.Context, name string, kind uint16) (*miekg.Msg, error) {
	begin := time.Now()
	servers, err := r.servers(ctx)
	if err != nil {
		return nil, err
	}
	tries := newTries(servers)
	var backoff discovery.Backoff
	for len(tries.left) > 0 {
		for i, server := range tries.left {
			answer, err := exchange(ctx, server, name, kind, patience(ctx, len(tries.left)-i))
			if err == nil && (answer.Rcode == miekg.RcodeSuccess || answer.Rcode == miekg.RcodeNameError) {
				r.lock.Lock()
				r.last = server
				r.lock.Unlock()
				return answer, nil
			}
			if ctx.Err() != nil && tries.failed[server] != nil {
				break // it had no time
			}
			tries.note(server, answer, err)
		}
		if tries.drop(); len(tries.left) > 0 && backoff.Wait(ctx) != nil {
			break
		}
	}
	return nil, tries.failure(ctx, name, kind, time.Since(begin))
}

// unknownEnd is that the last of the aliases cannot be asked for.
type unknownEnd struct {
	name string
	error
}

func (u unknownEnd) Unwrap() error { return u.error }

// patience is how long to wait for a server, so that there is time for the others.
func patience(ctx context.Context, servers int) time.Duration {
	deadline, limited := ctx.Deadline()
	if !limited {
		return attemptByUDP
	}
	return min(attemptByUDP, time.Until(deadline)/time.Duration(servers))
}

// ask asks for the records of a name, and follows aliases.
func (r *resolver) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	whole := answer{ttl: maxTTL}
	chain := []string{miekg.CanonicalName(name)}
	for {
		message, err := r.exchange(ctx, chain[len(chain)-1], kind)
		if err != nil && len(chain) > 1 {
			err = unknownEnd{chain[len(chain)-1], err}
		}
		if err != nil {
			return answer{}, err
		}
		known := len(chain)
		if chain, err = whole.take(message, chain, kind); err != nil {
			return answer{}, fmt.Errorf("%s %s: %w", miekg.TypeToString[kind], name, err)
		}
		if len(whole.records) > 0 || len(chain) == known || message.Rcode == miekg.RcodeNameError {
			return whole, nil
		}
	}
}
