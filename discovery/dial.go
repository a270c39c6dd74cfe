package discovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// nextAddress is how long Dial waits for one address before it tries the next beside it: RFC 8305's
// Connection Attempt Delay.
const nextAddress = 250 * time.Millisecond

// Dial connects to an address as [net.Dialer.DialContext] does, but tries all addresses of a name within ctx,
// as RFC 8305 (Happy Eyeballs) has it: families in turn, the next one as soon as one has failed or given no
// answer for 250 ms; the first connection is taken and the others are closed. The standard library's gives
// the first address of a family two seconds at least. The error tells of each address.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := dialer{lookup: net.DefaultResolver.LookupNetIP, connect: new(net.Dialer).DialContext}
	return d.dial(ctx, network, address)
}

// dialer is Dial with what it stands on.
type dialer struct {
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	family, known := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	if _, literal := netip.ParseAddr(host); err != nil || !known || host == "" || literal == nil {
		return d.connect(ctx, network, address)
	}
	found, err := d.lookup(ctx, family, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return d.race(ctx, network, inTurn(found), port)
}

// inTurn orders addresses so that the families alternate, beginning with the first one's.
func inTurn(found []netip.Addr) []netip.Addr {
	var first, other, all []netip.Addr
	for i, one := range found {
		found[i] = one.Unmap()
		if found[i].Is4() == found[0].Is4() {
			first = append(first, found[i])
		} else {
			other = append(other, found[i])
		}
	}
	for len(first)+len(other) > 0 {
		for _, family := range []*[]netip.Addr{&first, &other} {
			if len(*family) > 0 {
				all, *family = append(all, (*family)[0]), (*family)[1:]
			}
		}
	}
	return all
}

// attempt is how it went with one address.
type attempt struct {
	conn net.Conn
	err  error
}

// race tries the addresses, each beside those before it, and gives the first connection.
func (d dialer) race(ctx context.Context, network string, addresses []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt)
	under := 0 // attempts under way
	defer func() {
		go closeAll(results, under)
	}()
	var failures []error
	for next := 0; next < len(addresses) || under > 0; {
		var late <-chan time.Time
		if next < len(addresses) {
			target := net.JoinHostPort(addresses[next].String(), port)
			go func() {
				conn, err := d.connect(ctx, network, target)
				results <- attempt{conn, err}
			}()
			next, under = next+1, under+1
			timer := time.NewTimer(nextAddress)
			defer timer.Stop()
			late = timer.C
		}
		if next == len(addresses) {
			late = nil
		}
		select {
		case <-late:
			continue
		case a := <-results:
			under--
			if a.err == nil {
				return a.conn, nil
			}
			failures = append(failures, a.err)
		}
	}
	return nil, joinDials(network, failures)
}

// closeAll closes the connections that come too late.
func closeAll(results <-chan attempt, under int) {
	for range under {
		if a := <-results; a.conn != nil {
			a.conn.Close()
		}
	}
}

// joinDials makes one error of those of all addresses, in one line.
func joinDials(network string, failures []error) error {
	if len(failures) == 0 {
		return &net.OpError{Op: "dial", Net: network, Err: errors.New("the name has no address")}
	}
	if len(failures) == 1 {
		return failures[0]
	}
	return &dialError{failures}
}

// dialError is that none of several addresses could be reached.
type dialError struct{ failures []error }

func (e *dialError) Error() string {
	var text string
	for i, failure := range e.failures {
		if i > 0 {
			text += "; "
		}
		text += failure.Error()
	}
	return text
}

func (e *dialError) Unwrap() []error { return slices.Clone(e.failures) }
