package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificates are the files of TLS, read anew when one of them has changed.
type certificates struct {
	options Options

	lock  sync.Mutex
	stamp string // of the files that made is of
	made  *tls.Config
}

// readCertificates reads the files, so that a mistake is told at the start; nil without a certificate.
func readCertificates(options Options) (*certificates, error) {
	if options.Cert == "" {
		return nil, nil
	}
	c := &certificates{options: options}
	c.stamp = c.files()
	var err error
	c.made, err = c.read()
	if info, statErr := os.Stat(options.Key); statErr == nil && info.Mode()&0o004 != 0 {
		options.Log.Warn("everybody on this machine can read the certificate's key: take that away by chmod o-r", "key", options.Key)
	}
	return c, err
}

// config asks for the certificates of the moment at each connection.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

// current is what a new connection gets. Files that cannot be read, perhaps because they are being written,
// leave it as it was.
func (c *certificates) current() *tls.Config {
	c.lock.Lock()
	defer c.lock.Unlock()
	if stamp := c.files(); stamp != c.stamp {
		if config, err := c.read(); err == nil {
			c.made, c.stamp = config, stamp
		} else {
			c.options.Log.Warn("cannot read the new certificate, the old one stays", "error", err)
		}
	}
	return c.made
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
