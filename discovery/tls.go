package discovery

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSConfig gives how to connect to the server of that name: nil without TLS. The files of authorities,
// certificate and key are read now, for early errors (ErrInvalid), and at every handshake again, so a
// renewed certificate or authority needs no restart.
func (c Config) TLSConfig() (*tls.Config, error) {
	if !c.Secure {
		return nil, nil
	}
	if _, err := c.roots(); err != nil {
		return nil, err
	}
	if _, err := c.certificate(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.Cert != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.certificate()
		}
	}
	if c.CA != "" {
		config.InsecureSkipVerify = true // VerifyConnection below does it, with today's authorities
		config.VerifyConnection = c.verify
	}
	return config, nil
}

// verify is what crypto/tls would have done, with the authorities as they are now.
func (c Config) verify(state tls.ConnectionState) error {
	roots, err := c.roots()
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: roots, DNSName: state.ServerName, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err = state.PeerCertificates[0].Verify(options)
	return err
}

// roots are the authorities of the ca file; nil, so the system's, without one.
func (c Config) roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, Mark(ErrInvalid, fmt.Errorf("ca file: %w", err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, invalid("ca file %s: no PEM certificate in it", c.CA)
	}
	return pool, nil
}

func (c Config) certificate() (*tls.Certificate, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, Mark(ErrInvalid, fmt.Errorf("cert %s and key %s: %w", c.Cert, c.Key, err))
	}
	return &pair, nil
}
