package etcd2

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// newMembers gives the servers that the URL names. In the layout scalingo, a URL that names none leaves it to
// the variables that this layout's own programs read.
func newMembers(config discovery.Config) ([]*member, error) {
	if config.Layout == "scalingo" && len(config.Hosts) == 0 {
		return scalingoMembers(config)
	}
	var members []*member
	for _, address := range config.Addresses(defaultPort) {
		if _, err := config.TLSConfig(address); err != nil { // for its early errors
			return nil, err
		}
		m, err := newMember(config, address, config.Secure, config.TLSConfig)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// scalingoMembers are those of ETCD_HOSTS, ETCD_HOST, or the link to a container etcd_1.
func scalingoMembers(config discovery.Config) ([]*member, error) {
	list := "http://localhost:2379"
	if hosts := config.Getenv("ETCD_HOSTS"); hosts != "" {
		list = hosts
	} else if host := config.Getenv("ETCD_HOST"); host != "" {
		list = host
	} else if address := config.Getenv("ETCD_1_PORT_2379_TCP_ADDR"); address != "" {
		list = "http://" + net.JoinHostPort(address, config.Getenv("ETCD_1_PORT_2379_TCP_PORT"))
	}
	settings, allSecure, err := scalingoTLS(config)
	if err != nil {
		return nil, err
	}
	plain := config
	plain.Secure = false
	var members []*member
	for text := range strings.SplitSeq(list, ",") {
		address, secure, err := parseEndpoint(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		secure = secure || allSecure
		tlsConfig := plain.TLSConfig
		if secure {
			tlsConfig = settings
		}
		m, err := newMember(config, address, secure, tlsConfig)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// parseEndpoint reads http://host:port; scheme and port may be missing.
func parseEndpoint(text string) (address string, secure bool, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", scheme
	}
	host, port := strings.TrimRight(rest, "/"), strconv.Itoa(defaultPort)
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	host = strings.Trim(host, "[]")
	number, err := strconv.Atoi(port)
	if err != nil || number < 1 || number > 65535 || host == "" || strings.ContainsAny(host, "/@?#% ") || scheme != "http" && scheme != "https" {
		return "", false, discovery.Invalidf("one of ETCD_HOSTS, ETCD_HOST and ETCD_1_PORT_2379_TCP_* is no list of addresses as http://10.0.0.1:2379")
	}
	return net.JoinHostPort(host, port), scheme == "https", nil
}

// scalingoTLS is how to connect by TLS, and whether to every member: by ETCD_CACERT, ETCD_TLS_CERT and
// ETCD_TLS_KEY when all three are set, else as the URL says.
func scalingoTLS(config discovery.Config) (settings func(host string) (*tls.Config, error), all bool, err error) {
	ca, cert, key := config.Getenv("ETCD_CACERT"), config.Getenv("ETCD_TLS_CERT"), config.Getenv("ETCD_TLS_KEY")
	secure := config
	secure.Secure = true
	if ca == "" || cert == "" || key == "" {
		_, err := secure.TLSConfig("")
		return secure.TLSConfig, config.Secure, err
	}
	if config.Getenv("ETCD_TLS_INMEMORY") == "true" {
		settings, err := tlsInMemory(ca, cert, key)
		return settings, true, err
	}
	secure.CA, secure.Cert, secure.Key = ca, cert, key
	_, err = secure.TLSConfig("")
	return secure.TLSConfig, true, err
}

// tlsInMemory reads base64 of PEM.
func tlsInMemory(ca, cert, key string) (func(host string) (*tls.Config, error), error) {
	var pem [3][]byte
	for i, text := range []string{ca, cert, key} {
		var err error
		if pem[i], err = base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err != nil {
			return nil, discovery.Invalidf("ETCD_CACERT, ETCD_TLS_CERT or ETCD_TLS_KEY is no base64, as ETCD_TLS_INMEMORY=true says")
		}
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem[0]) {
		return nil, discovery.Invalidf("ETCD_CACERT has no PEM certificate in it")
	}
	pair, err := tls.X509KeyPair(pem[1], pem[2])
	if err != nil {
		return nil, discovery.Invalidf("ETCD_TLS_CERT and ETCD_TLS_KEY: %w", err)
	}
	return func(host string) (*tls.Config, error) {
		return &tls.Config{
			MinVersion:   tls.VersionTLS12,
			ServerName:   host,
			RootCAs:      authorities,
			Certificates: []tls.Certificate{pair},
		}, nil
	}, nil
}
