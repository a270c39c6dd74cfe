package ensemble

import (
	"context"
	"math/rand/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// hosts are the servers that the URL names, and how it went with each.
type hosts struct {
	*driver.Dials
	addresses []string
}

func newHosts(config discovery.Config) *hosts {
	addresses := config.Addresses(DefaultPort)
	return &hosts{driver.NewDials(config.Scheme, addresses), addresses}
}

// round is one session's way around the servers, in an order of its own so that they share the load. It is
// the library's host provider; unlike the library's own it leaves names to each dialling, so that a name that
// is unknown now or changes later does no harm.
type round struct {
	addresses []string
	life      context.Context // of the session
	next      int
	left      int // how many are to be tried before the next round
	vain      int // rounds since there was a session
}

func (h *hosts) round(life context.Context) *round {
	r := &round{life: life, left: len(h.addresses)}
	for _, i := range rand.Perm(len(h.addresses)) {
		r.addresses = append(r.addresses, h.addresses[i])
	}
	return r
}

// Init is given what it has already.
func (r *round) Init([]string) error { return nil }

// Len is how many servers there are.
func (r *round) Len() int { return len(r.addresses) }

// Next gives the server to try. With true, the library first fails what waits to be sent, looks whether it is
// to end, and rests for a second, which nothing shortens: so it is told that only when it must do the others.
func (r *round) Next() (server string, vain bool) {
	server = r.addresses[r.next]
	r.next = (r.next + 1) % len(r.addresses)
	if r.left == 0 {
		r.left = len(r.addresses)
		r.vain++
		vain = r.vain == 1
	}
	r.left--
	return server, vain || r.life.Err() != nil
}

// isAnother reports whether the server to try is the first of another round, all having been tried in vain.
func (r *round) isAnother() bool { return r.vain > 0 && r.left == len(r.addresses)-1 }

// Connected begins anew.
func (r *round) Connected() { r.left, r.vain = len(r.addresses), 0 }
