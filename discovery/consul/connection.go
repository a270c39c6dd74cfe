package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// maxCalls bounds the connections for calls; queries that wait have their own. An agent grants one address
// 200 connections in all.
const maxCalls = 32

// client is the official one.
type client = api.Client

var errClosed = discovery.Mark(discovery.ErrUnavailable, errors.New("the registry is closed"))

// connection is the agent.
type connection struct {
	settings settings
	calls    *client // that are answered at once
	polls    *client // that wait for changes
	idle     func()  // closes connections that nobody uses
	dials    *driver.Dials

	lock   sync.Mutex
	closed bool
}

func newConnection(s settings) (*connection, error) {
	c := &connection{settings: s, dials: driver.NewDials(s.Scheme, []string{s.address})}
	calls := &http.Transport{MaxConnsPerHost: maxCalls, MaxIdleConnsPerHost: maxCalls}
	polls := &http.Transport{MaxIdleConnsPerHost: maxCalls}
	c.idle = func() {
		calls.CloseIdleConnections()
		polls.CloseIdleConnections()
	}
	var err error
	if c.calls, err = c.newClient(calls); err != nil {
		return nil, err
	}
	c.polls, err = c.newClient(polls)
	return c, err
}

func (c *connection) newClient(t *http.Transport) (*client, error) {
	t.DialContext, t.DialTLSContext = c.dial, c.dial
	config := &api.Config{
		Address:    c.settings.address,
		PathPrefix: c.settings.pathPrefix,
		Scheme:     "http",
		HttpClient: &http.Client{Transport: &transport{t, &c.settings}},
		Transport:  t,
		Datacenter: c.settings.datacenter,
		Namespace:  c.settings.namespace,
		Partition:  c.settings.partition,
	}
	if c.settings.Secure {
		config.Scheme = "https"
	}
	if c.settings.network == "unix" {
		config.Address = "localhost"
	}
	made, err := api.NewClient(config)
	if err != nil {
		return nil, discovery.Invalidf("%w", err)
	}
	return made, nil
}

func (c *connection) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return c.dials.Dial(ctx, c.settings.network, c.settings.address, c.settings.tlsConfig)
}

// open is an error once the registry was closed.
func (c *connection) open() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return errClosed
	}
	return nil
}

func (c *connection) close() {
	c.lock.Lock()
	c.closed = true
	c.lock.Unlock()
	c.idle()
}

// transport shows who we are at each request, so that a changed token file counts at once.
type transport struct {
	*http.Transport
	settings *settings
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := t.settings.token()
	if err != nil {
		return nil, err
	}
	login, err := t.settings.login()
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Del("X-Consul-Token") // what the client read in the environment by itself
	request.Header.Del("Authorization")
	if token != "" {
		request.Header.Set("X-Consul-Token", string(token))
	}
	if login.User != "" {
		request.SetBasicAuth(login.User, string(login.Password))
	}
	return t.Transport.RoundTrip(request)
}
