package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
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

	dials  *driver.Dials
	pauses pauses
}

func newConnection(config discovery.Config) *connection {
	life, end := context.WithCancel(context.Background())
	return &connection{
		config: config,
		login:  &login{credentials: config.Login, life: life, limit: max(loginTime, config.Timeout)},
		end:    end,
		dials:  driver.NewDials(config.Scheme, config.Addresses(defaultPort)),
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
	c.pauses.end()
	return c.client, nil
}

func (c *connection) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithContextDialer(c.dial),
		grpc.WithChainUnaryInterceptor(c.login.unary),
		grpc.WithChainStreamInterceptor(c.login.stream),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryDelay / 2, Multiplier: 2, Jitter: 0.2, MaxDelay: retryDelay},
			MinConnectTimeout: discovery.ConnectTimeout,
		}),
	}
	if c.config.Secure {
		return append(options, grpc.WithTransportCredentials(&transport{connection: c}))
	}
	return append(options, grpc.WithTransportCredentials(&plainTransport{insecure.NewCredentials(), c}))
}

func (c *connection) dial(ctx context.Context, address string) (net.Conn, error) {
	if err := c.pauses.begin(address); err != nil {
		return nil, err
	}
	plain := c.config
	plain.Secure = false // gRPC shakes hands itself, by our transport
	conn, err := plain.Dial(ctx, "tcp", address)
	c.dials.Note(address, err)
	return conn, err
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

// plainTransport is no TLS, and notes when the server wants to speak it. gRPC sets up the connection itself before.
type plainTransport struct {
	grpccredentials.TransportCredentials
	connection *connection
}

func (t *plainTransport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	address := addressOf(t.connection.config, conn, authority)
	return t.TransportCredentials.ClientHandshake(ctx, authority, t.connection.dials.Watch(conn, address))
}

func (t *plainTransport) Clone() grpccredentials.TransportCredentials {
	return &plainTransport{t.TransportCredentials.Clone(), t.connection}
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
	address := addressOf(t.connection.config, conn, authority)
	var info grpccredentials.AuthInfo
	secure, err := t.connection.dials.Secure(address, config, func(config *tls.Config) (secure net.Conn, err error) {
		// gRPC checks the certificate for the authority, whatever name the config has
		secure, info, err = grpccredentials.NewTLS(config).ClientHandshake(ctx, config.ServerName, conn)
		return secure, err
	})
	if err != nil {
		t.connection.dials.Note(address, err)
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
