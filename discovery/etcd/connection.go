package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	grpccredentials "google.golang.org/grpc/credentials"

	"github.com/envharness/envharness/discovery"
)

// The times by which a dead connection is noticed: gRPC pings an idle one no more often than each 10 s,
// and what was sent must be acknowledged within keepAliveTimeout.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// connection is the client of a registry, made at the first call.
type connection struct {
	config discovery.Config
	login  *login
	end    context.CancelFunc // of logins

	lock   sync.Mutex
	client *clientv3.Client
	closed bool

	dialing sync.Mutex
	dialled map[string]error // why an address was not reached
}

func newConnection(config discovery.Config) *connection {
	life, end := context.WithCancel(context.Background())
	return &connection{
		config: config,
		login:  &login{credentials: config.Login, life: life, limit: config.Timeout},
		end:    end,
	}
}

// get gives the client, made if need be.
func (c *connection) get() (*clientv3.Client, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return nil, discovery.Mark(discovery.ErrUnavailable, errors.New("the registry was closed"))
	}
	if c.client == nil {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:            c.config.Addresses(defaultPort),
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
	if conn := c.client.ActiveConnection(); conn.GetState() != connectivity.Ready {
		conn.ResetConnectBackoff() // gRPC may be waiting before it connects again
	}
	return c.client, nil
}

func (c *connection) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithContextDialer(c.dial),
		grpc.WithChainUnaryInterceptor(c.login.unary),
		grpc.WithChainStreamInterceptor(c.login.stream),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: discovery.ConnectTimeout,
		}),
	}
	if c.config.Secure {
		options = append(options, grpc.WithTransportCredentials(&transport{connection: c}))
	}
	return options
}

func (c *connection) dial(ctx context.Context, address string) (net.Conn, error) {
	plain := c.config
	plain.Secure = false // gRPC shakes hands itself, by our transport
	conn, err := plain.Dial(ctx, "tcp", address)
	c.tried(address, err)
	return conn, err
}

// tried notes how it went with an address, for the error of a call that had no answer.
func (c *connection) tried(address string, err error) {
	c.dialing.Lock()
	defer c.dialing.Unlock()
	if c.dialled == nil {
		c.dialled = map[string]error{}
	}
	c.dialled[address] = err
}

// report says how it went with every address.
func (c *connection) report() string {
	c.dialing.Lock()
	defer c.dialing.Unlock()
	var parts []string
	for _, address := range c.config.Addresses(defaultPort) {
		err, known := c.dialled[address]
		switch {
		case !known:
			parts = append(parts, address+" (no connection)")
		case err != nil:
			parts = append(parts, fmt.Sprintf("%s (%v)", address, err))
		default:
			parts = append(parts, address+" (connected, no answer)")
		}
	}
	return strings.Join(parts, ", ")
}

func (c *connection) close() error {
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

// transport is TLS that reads its files for each connection.
type transport struct {
	connection *connection
}

func (t *transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	config, err := t.connection.config.TLSConfig(host)
	if err != nil {
		return nil, nil, err
	}
	// gRPC checks the certificate for the authority, whatever name the config has
	secure, info, err := grpccredentials.NewTLS(config).ClientHandshake(ctx, config.ServerName, conn)
	if err != nil {
		t.connection.tried(addressOf(t.connection.config, conn, authority), err)
	}
	return secure, info, err
}

// addressOf gives the address, as the URL has it, that conn was made for.
func addressOf(config discovery.Config, conn net.Conn, authority string) string {
	remote := conn.RemoteAddr().String()
	addresses := config.Addresses(defaultPort)
	for _, candidate := range []string{authority, remote} {
		if slices.Contains(addresses, candidate) {
			return candidate
		}
	}
	return addresses[0]
}

func (t *transport) ServerHandshake(net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	return nil, nil, errors.New("this is a client")
}

func (t *transport) Info() grpccredentials.ProtocolInfo {
	return grpccredentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (t *transport) Clone() grpccredentials.TransportCredentials {
	return &transport{connection: t.connection}
}

func (t *transport) OverrideServerName(string) error { return nil }
