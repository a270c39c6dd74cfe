package discovery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// TLSConfig gives how to connect to the server called host: nil without TLS. The server's certificate
// must be for ServerName, else for host. It reads the files of authorities, certificate and key anew
// (ErrInvalid), so whoever asks before each connection needs no restart when they are renewed.
func (c Config) TLSConfig(host string) (*tls.Config, error) {
	if !c.Secure {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, Mark(ErrInvalid, fmt.Errorf("ca file: %w", err))
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, Invalidf("ca file %s: no PEM certificate in it", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, Mark(ErrInvalid, fmt.Errorf("cert %s and key %s: %w", c.Cert, c.Key, err))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Dial connects to one address of the registry within ConnectTimeout, with TLS if the scheme asked for
// it. It has the signature that clients take.
func (c Config) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	conn, err := Dial(ctx, network, address)
	if err != nil || !c.Secure {
		return conn, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	config, err := c.TLSConfig(host)
	if err != nil {
		conn.Close()
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
