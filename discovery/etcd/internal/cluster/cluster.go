// Package cluster is a cluster of etcd as the engine asks it: by the official client, which is connected by the
// registry's URL and logged in here, and whose errors get a kind.
package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// DefaultPort is where etcd listens.
const DefaultPort = 2379

// The times by which a dead connection is noticed: gRPC pings an idle one no more often than each 10 s,
// and what was sent must be acknowledged within keepAliveTimeout.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// Client asks a cluster. Its methods, and calls by it, may be made by many goroutines.
type Client struct {
	config    discovery.Config
	addresses []string
	login     *login
	end       context.CancelFunc // of logins

	lock   sync.Mutex
	client *clientv3.Client // nil: not made yet
	closed bool

	dials  *driver.Dials
	pauses pauses
}

// New makes a client, which connects with the first call. Who has it closes it.
func New(config discovery.Config) *Client {
	life, end := context.WithCancel(context.Background())
	addresses := config.Addresses(DefaultPort)
	return &Client{
		config:    config,
		addresses: addresses,
		login:     &login{credentials: config.Login, life: life, limit: max(loginTime, config.Timeout)},
		end:       end,
		dials:     driver.NewDials(config.Scheme, addresses),
	}
}

// Call asks the cluster within the registry's time and gives its error a kind.
func Call[T any](ctx context.Context, c *Client, ask func(context.Context, *clientv3.Client) (T, error)) (T, error) {
	return driver.Call(ctx, c.config.Timeout, c, func(ctx context.Context) (answer T, err error) {
		ctx, done := c.dials.Expect(ctx)
		defer done()
		client, err := c.get()
		if err != nil {
			return answer, err
		}
		answer, err = ask(ctx, client)
		return answer, driver.Refused(ctx, c.answered(err))
	})
}

// Do is Call for what has no answer.
func Do(ctx context.Context, c *Client, ask func(context.Context, *clientv3.Client) error) error {
	_, err := Call(ctx, c, func(ctx context.Context, client *clientv3.Client) (any, error) { return nil, ask(ctx, client) })
	return err
}

// get gives the official client, made if need be.
func (c *Client) get() (*clientv3.Client, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return nil, driver.ErrClosed
	}
	if c.client == nil {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:            c.addresses,
			DialKeepAliveTime:    keepAliveTime,
			DialKeepAliveTimeout: keepAliveTimeout,
			Logger:               zap.NewNop(),
			DialOptions:          c.dialOptions(),
		})
		if err != nil {
			return nil, err
		}
		c.client = client
	}
	c.pauses.end()
	return c.client, nil
}

// Logins counts the logins so far: another count is another token.
func (c *Client) Logins() int { return c.login.number() }

// Close disconnects. Later calls are [driver.ErrClosed].
func (c *Client) Close() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.closed = true
	c.end()
	if c.client == nil {
		return nil
	}
	err := c.client.Close()
	c.client = nil
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
