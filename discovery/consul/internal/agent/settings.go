package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// DefaultPort is where an agent listens.
const DefaultPort = 8500

// settings are where the agent is and how to speak to it: what the URL says and, where it says nothing, what
// Consul's own variables say.
type settings struct {
	discovery.Config // Secure, CA, Cert, Key and ServerName are those in force

	address    string // host:port, or the path of a unix socket
	network    string // tcp or unix
	pathPrefix string // of an agent behind a proxy
	caPath     string // a directory of authorities
	insecure   bool   // the server's certificate is not checked

	datacenter, namespace, partition string
}

func newSettings(config discovery.Config, datacenter string) (settings, error) {
	getenv := config.Getenv
	s := settings{
		Config:     config,
		network:    "tcp",
		datacenter: datacenter,
		namespace:  getenv("CONSUL_NAMESPACE"),
		partition:  getenv("CONSUL_PARTITION"),
	}
	ssl, err := parseFlag(getenv, "CONSUL_HTTP_SSL", false)
	if err != nil {
		return s, err
	}
	verify, err := parseFlag(getenv, "CONSUL_HTTP_SSL_VERIFY", true)
	if err != nil {
		return s, err
	}
	s.Secure, s.insecure = s.Secure || ssl, !verify
	if err := s.setAddress(getenv("CONSUL_HTTP_ADDR")); err != nil {
		return s, err
	}
	if s.Secure {
		s.setTLS(getenv)
	}
	if _, err := s.tlsConfig(""); err != nil { // for its early errors
		return s, err
	}
	_, err = s.login()
	return s, err
}

func parseFlag(getenv func(string) string, name string, fallback bool) (bool, error) {
	text := getenv(name)
	if text == "" {
		return fallback, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, discovery.Invalidf("%s is %q, neither true nor false", name, text)
	}
	return on, nil
}

// setAddress takes the URL's host, else the variable, else the default.
func (s *settings) setAddress(variable string) error {
	if len(s.Hosts) > 0 || variable == "" {
		s.address = s.Addresses(DefaultPort)[0]
		return nil
	}
	scheme, rest, found := strings.Cut(variable, "://")
	if !found {
		scheme, rest = "http", variable
	}
	switch scheme {
	case "unix":
		s.network, s.address = "unix", rest
		return nil
	case "https":
		s.Secure = true
	case "http":
	default:
		return discovery.Invalidf("CONSUL_HTTP_ADDR is neither HOST:PORT nor of http://, https:// or unix://")
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "" || strings.ContainsAny(host, "@ ") {
		return discovery.Invalidf("CONSUL_HTTP_ADDR names no host")
	}
	if path = strings.Trim(path, "/"); path != "" {
		s.pathPrefix = "/" + path
	}
	s.Hosts = []string{host}
	s.address = s.Addresses(DefaultPort)[0]
	return nil
}

// setTLS fills in what the URL does not say.
func (s *settings) setTLS(getenv func(string) string) {
	if s.CA == "" {
		s.CA, s.caPath = getenv("CONSUL_CACERT"), getenv("CONSUL_CAPATH")
	}
	if s.Cert == "" {
		s.Cert, s.Key = getenv("CONSUL_CLIENT_CERT"), getenv("CONSUL_CLIENT_KEY")
	}
	if s.ServerName == "" {
		s.ServerName = getenv("CONSUL_TLS_SERVER_NAME")
	}
}

// tlsConfig gives how to connect to a host now, nil without TLS. It reads the files anew.
func (s *settings) tlsConfig(host string) (*tls.Config, error) {
	config, err := s.TLSConfig(host)
	if err != nil || config == nil {
		return nil, err
	}
	config.InsecureSkipVerify = s.insecure
	if s.caPath == "" {
		return config, nil
	}
	if config.RootCAs == nil {
		config.RootCAs = x509.NewCertPool()
	}
	return config, addAuthorities(config.RootCAs, s.caPath)
}

// addAuthorities reads every file of a directory.
func addAuthorities(pool *x509.CertPool, directory string) error {
	files, err := os.ReadDir(directory)
	if err != nil {
		return discovery.Mark(discovery.ErrInvalid, fmt.Errorf("CONSUL_CAPATH: %w", err))
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		pem, err := os.ReadFile(filepath.Join(directory, file.Name()))
		if err != nil {
			return discovery.Mark(discovery.ErrInvalid, fmt.Errorf("CONSUL_CAPATH: %w", err))
		}
		pool.AppendCertsFromPEM(pem) // what is none is skipped, as Consul does
	}
	return nil
}

// token is what to show now; empty is none.
func (s *settings) token() (discovery.Secret, error) {
	token, err := s.Config.Token()
	if err != nil || token != "" || s.TokenFile != "" {
		return token, err
	}
	if file := s.Getenv("CONSUL_HTTP_TOKEN_FILE"); file != "" {
		from := s.Config
		from.TokenFile = file
		return from.Token()
	}
	return discovery.Secret(s.Getenv("CONSUL_HTTP_TOKEN")), nil
}

// login is for a proxy before the agent that asks for it.
func (s *settings) login() (discovery.Credentials, error) {
	login, err := s.Login()
	if err != nil || login.User != "" {
		return login, err
	}
	user, password, _ := strings.Cut(s.Getenv("CONSUL_HTTP_AUTH"), ":")
	return discovery.Credentials{User: user, Password: discovery.Secret(password)}, nil
}
