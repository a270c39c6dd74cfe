package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/envharness/envharness/discovery"
)

func (c *Client) dialOptions() []grpc.DialOption {
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
		return append(options, grpc.WithTransportCredentials(&transport{client: c}))
	}
	return append(options, grpc.WithTransportCredentials(&plainTransport{insecure.NewCredentials(), c}))
}

func (c *Client) dial(ctx context.Context, address string) (net.Conn, error) {
	if err := c.pauses.begin(address); err != nil {
		return nil, err
	}
	plain := c.config
	plain.Secure = false // gRPC shakes hands itself, by our transport
	conn, err := plain.Dial(ctx, "tcp", address)
	c.dials.Note(address, err)
	return conn, err
}

// plainTransport is no TLS, and notes when the server wants to speak it. gRPC sets up the connection itself before.
type plainTransport struct {
	grpccredentials.TransportCredentials
	client *Client
}

func (t *plainTransport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	address := t.client.addressOf(conn, authority)
	return t.TransportCredentials.ClientHandshake(ctx, authority, t.client.dials.Watch(conn, address))
}

func (t *plainTransport) Clone() grpccredentials.TransportCredentials {
	return &plainTransport{t.TransportCredentials.Clone(), t.client}
}

// transport is TLS that reads its files for each connection.
type transport struct {
	client *Client
}

func (t *transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	config, err := t.client.config.TLSConfig(host)
	if err != nil {
		return nil, nil, err
	}
	address := t.client.addressOf(conn, authority)
	var info grpccredentials.AuthInfo
	secure, err := t.client.dials.Secure(address, config, func(config *tls.Config) (secure net.Conn, err error) {
		// gRPC checks the certificate for the authority, whatever name the config has
		secure, info, err = grpccredentials.NewTLS(config).ClientHandshake(ctx, config.ServerName, conn)
		return secure, err
	})
	if err != nil {
		t.client.dials.Note(address, err)
	}
	return secure, info, err
}

// addressOf gives the address, as the URL has it, that conn was made for.
func (c *Client) addressOf(conn net.Conn, authority string) string {
	remote := conn.RemoteAddr().String()
	for _, candidate := range []string{authority, remote} {
		if slices.Contains(c.addresses, candidate) {
			return candidate
		}
	}
	return c.addresses[0]
}

func (t *transport) ServerHandshake(net.Conn) (net.Conn, grpccredentials.AuthInfo, error) {
	return nil, nil, errors.New("this is a client")
}

func (t *transport) Info() grpccredentials.ProtocolInfo {
	return grpccredentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (t *transport) Clone() grpccredentials.TransportCredentials {
	return &transport{client: t.client}
}

func (t *transport) OverrideServerName(string) error { return nil }
