package etcd2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// maxCalls bounds the connections for calls to one member; long polls have their own.
const maxCalls = 32

// member is one server of the cluster.
type member struct {
	address string
	calls   client.KeysAPI // that are answered at once
	polls   client.KeysAPI // that wait for changes
	close   func()
	dials   *driver.Dials
}

// newMember makes the client of one server, which is connected to as tlsConfig says for its host.
func newMember(config discovery.Config, address string, secure bool, tlsConfig func(host string) (*tls.Config, error)) (*member, error) {
	m := &member{address: address, dials: driver.NewDials(config.Scheme, []string{address})}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return m.dials.Dial(ctx, network, address, tlsConfig)
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	newKeys := func(t *http.Transport) (client.KeysAPI, error) {
		t.DialContext, t.DialTLSContext = dial, dial
		c, err := client.New(client.Config{Endpoints: []string{scheme + address}, Transport: &transport{t, config}})
		if err != nil {
			return nil, discovery.Invalidf("%q is no address", address)
		}
		return client.NewKeysAPI(c), nil
	}
	calls := &http.Transport{MaxConnsPerHost: maxCalls, MaxIdleConnsPerHost: maxCalls}
	polls := &http.Transport{}
	var err error
	if m.calls, err = newKeys(calls); err != nil {
		return nil, err
	}
	m.polls, err = newKeys(polls)
	m.close = func() {
		calls.CloseIdleConnections()
		polls.CloseIdleConnections()
	}
	return m, err
}

// transport logs in at each request, so that a changed user file counts at once.
type transport struct {
	*http.Transport
	config discovery.Config
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	login, err := t.config.Login()
	if err != nil {
		return nil, err
	}
	if login.User != "" {
		request = request.Clone(request.Context())
		request.SetBasicAuth(login.User, string(login.Password))
	}
	return t.Transport.RoundTrip(request)
}

// connection is the cluster: calls and long polls go to one of its members, until that fails.
type connection struct {
	members []*member

	lock    sync.Mutex
	current int
	closed  bool

	// epoch ends when long polls that wait now may wait in vain; its cause says why.
	epoch context.Context
	end   context.CancelCauseFunc
}

func newConnection(members []*member) *connection {
	c := &connection{members: members}
	c.epoch, c.end = context.WithCancelCause(context.Background())
	return c
}

// member is where to ask.
func (c *connection) member() (*member, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return nil, driver.ErrClosed
	}
	return c.members[c.current], nil
}

// poll is where to wait for changes, and until when.
func (c *connection) poll() (*member, context.Context) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.members[c.current], c.epoch
}

// leave goes on to the next member, from one that gave no answer.
func (c *connection) leave(from *member) {
	from.close()
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.members[c.current] != from || len(c.members) == 1 {
		return
	}
	c.current = (c.current + 1) % len(c.members)
	c.renew(errMoved)
}

func (c *connection) renew(why error) {
	c.end(why)
	c.epoch, c.end = context.WithCancelCause(context.Background())
}

// hint is for a member that speaks TLS and the URL does not, or the other way round.
func (c *connection) hint() string {
	for _, m := range c.members {
		if hint := m.dials.Hint(); hint != "" {
			return hint
		}
	}
	return ""
}

// report says how it went with every member.
func (c *connection) report() string {
	var parts []string
	for _, m := range c.members {
		parts = append(parts, m.dials.Report())
	}
	return strings.Join(parts, ", ")
}

func (c *connection) close() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.closed = true
	c.end(driver.ErrClosed)
	for _, m := range c.members {
		m.close()
	}
}
