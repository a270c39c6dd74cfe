// Package agent is a Consul agent as the engine asks it: by the official client, connected as the registry's URL and
// Consul's own variables say, whose errors get a kind.
package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// maxCalls bounds the connections for calls; queries that wait have their own. An agent grants one address
// 200 connections in all.
const maxCalls = 32

// Client is the official one.
type Client = api.Client

// Agent asks an agent. Its methods, and calls by it, may be made by many goroutines.
type Agent struct {
	Calls *Client // for what is answered at once
	Polls *Client // for what waits for changes

	settings settings
	idle     func() // closes connections that nobody uses
	dials    *driver.Dials
	closed   atomic.Bool
}

// New makes an agent of a URL and a datacenter to ask for, "" for the agent's own. It connects with the first call. Who
// has it closes it.
func New(config discovery.Config, datacenter string) (*Agent, error) {
	s, err := newSettings(config, datacenter)
	if err != nil {
		return nil, err
	}
	a := &Agent{settings: s, dials: driver.NewDials(s.Scheme, []string{s.address})}
	calls := &http.Transport{MaxConnsPerHost: maxCalls, MaxIdleConnsPerHost: maxCalls}
	polls := &http.Transport{MaxIdleConnsPerHost: maxCalls}
	a.idle = func() {
		calls.CloseIdleConnections()
		polls.CloseIdleConnections()
	}
	if a.Calls, err = a.newClient(calls); err != nil {
		return nil, err
	}
	a.Polls, err = a.newClient(polls)
	return a, err
}

func (a *Agent) newClient(t *http.Transport) (*Client, error) {
	t.DialContext, t.DialTLSContext = a.dial, a.dial
	config := &api.Config{
		Address:    a.settings.address,
		PathPrefix: a.settings.pathPrefix,
		Scheme:     "http",
		HttpClient: &http.Client{Transport: &transport{t, &a.settings}},
		Transport:  t,
		Datacenter: a.settings.datacenter,
		Namespace:  a.settings.namespace,
		Partition:  a.settings.partition,
	}
	if a.settings.Secure {
		config.Scheme = "https"
	}
	if a.settings.network == "unix" {
		config.Address = "localhost"
	}
	made, err := api.NewClient(config)
	if err != nil {
		return nil, discovery.Invalidf("%w", err)
	}
	return made, nil
}

func (a *Agent) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return a.dials.Dial(ctx, a.settings.network, a.settings.address, a.settings.tlsConfig)
}

// Call asks the agent within the registry's time and gives its error a kind.
func Call[T any](ctx context.Context, a *Agent, ask func(context.Context, *Client) (T, error)) (T, error) {
	return driver.Call(ctx, a.settings.Timeout, a, func(ctx context.Context) (answer T, err error) {
		if a.closed.Load() {
			return answer, driver.ErrClosed
		}
		answer, err = ask(ctx, a.Calls)
		return answer, a.answered(err)
	})
}

// Do is Call for what has no answer.
func Do(ctx context.Context, a *Agent, ask func(context.Context, *Client) error) error {
	_, err := Call(ctx, a, func(ctx context.Context, client *Client) (any, error) { return nil, ask(ctx, client) })
	return err
}

// Reading are the options of a read.
func (a *Agent) Reading(ctx context.Context) *api.QueryOptions {
	stale := a.settings.Stale
	return (&api.QueryOptions{RequireConsistent: !stale, AllowStale: stale}).WithContext(ctx)
}

// Strong are the options of a read that a write depends on: never a stale one.
func Strong(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// Writing are the options of a write.
func Writing(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// Token is what is shown to the agent now; empty is none.
func (a *Agent) Token() (discovery.Secret, error) { return a.settings.token() }

// AtHome is an error when the URL names another datacenter than the agent's: a service can register at its agent
// alone, and a session ends with the agent's node.
func (a *Agent) AtHome(ctx context.Context, client *Client) error {
	named := a.settings.datacenter
	if named == "" {
		return nil
	}
	var self struct{ Config struct{ Datacenter string } }
	if _, err := client.Raw().Query("/v1/agent/self", &self, Strong(ctx)); err != nil {
		return err
	}
	if home := self.Config.Datacenter; home != named {
		return discovery.Mark(discovery.ErrUnsupported,
			fmt.Errorf("the agent is of the datacenter %q: services, values with a TTL and elections are there, not in %q", home, named))
	}
	return nil
}

// Close disconnects. Later calls are [driver.ErrClosed].
func (a *Agent) Close() error {
	a.closed.Store(true)
	a.idle()
	return nil
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
