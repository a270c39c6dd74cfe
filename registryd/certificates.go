package registryd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// certificates are the files of TLS, read anew when one of them has changed.
type certificates struct {
	options Options

	lock   sync.Mutex
	stamp  string // of the files that config was made from
	config *tls.Config
}

// serverTLS reads the files, so that a mistake is told at the start; nil without a certificate.
func serverTLS(options Options) (*certificates, error) {
	if options.Cert == "" {
		return nil, nil
	}
	c := &certificates{options: options}
	c.stamp = c.files()
	var err error
	c.config, err = c.read()
	return c, err
}

func (c *certificates) listener(inner net.Listener) net.Listener {
	return tls.NewListener(inner, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	})
}

// current is what a new connection gets. Files that cannot be read, perhaps because they are being written,
// leave it as it was.
func (c *certificates) current() *tls.Config {
	c.lock.Lock()
	defer c.lock.Unlock()
	if stamp := c.files(); stamp != c.stamp {
		if config, err := c.read(); err == nil {
			c.config, c.stamp = config, stamp
		} else {
			c.options.Log.Warn("cannot read the new certificate, the old one stays", "error", err)
		}
	}
	return c.config
}

// files tells one state of the files from another.
func (c *certificates) files() string {
	stamp := ""
	for _, path := range []string{c.options.Cert, c.options.Key, c.options.CA} {
		if info, err := os.Stat(path); err == nil {
			stamp += fmt.Sprint(info.ModTime().Format(time.RFC3339Nano), info.Size(), " ")
		}
	}
	return stamp
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.options.Cert, c.options.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", c.options.Cert, c.options.Key, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if c.options.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.options.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate authority %s: %w", c.options.CA, errors.New("no PEM certificate in it"))
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven // health is told to all; the rest asks for one
	return config, nil
}
