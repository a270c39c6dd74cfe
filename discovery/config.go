package discovery

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The times that bound calls.
const (
	DefaultTimeout = 5 * time.Second // of a call, when the URL gives none
	ConnectTimeout = 2 * time.Second // of one attempt to connect to one address
)

// Config is an engine's URL, taken apart.
type Config struct {
	Scheme string
	Secure bool     // TLS was asked for by the scheme
	Hosts  []string // host, host:port, [IPv6] or [IPv6]:port as written; none when the URL had none
	Prefix string   // the path without the slashes around it; empty: the layout's default
	Layout string   // the engine's first when the URL gave none

	Timeout time.Duration // of a call
	Stale   bool          // reads need not be linearizable

	// CA, Cert, Key and ServerName are for TLS: see TLSConfig and Dial.
	CA, Cert, Key, ServerName string

	// User, Password, UserFile and TokenFile are for Login and Token, which engines use.
	User      string
	Password  Secret
	UserFile  string
	TokenFile string

	// Options are the engine's own query keys.
	Options map[string]string

	Getenv func(string) string // never nil
	Log    *slog.Logger        // never nil

	text string
}

// Setting changes what a URL does not say.
type Setting func(*Config)

// WithGetenv looks variables up by getenv instead of os.Getenv.
func WithGetenv(getenv func(string) string) Setting {
	return func(c *Config) { c.Getenv = getenv }
}

// WithLog logs to log instead of slog.Default.
func WithLog(log *slog.Logger) Setting {
	return func(c *Config) { c.Log = log }
}

// String is the URL without its password.
func (c Config) String() string { return c.text }

// Addresses gives host:port of every host, with the engine's default port where the URL has none, and
// for localhost when it has no host.
func (c Config) Addresses(defaultPort int) []string {
	hosts := c.Hosts
	if len(hosts) == 0 {
		hosts = []string{"localhost"}
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(defaultPort))
		}
		addresses[i] = host
	}
	return addresses
}

// newConfig reads the URL of an engine.
func newConfig(u *url.URL, engine Engine, settings []Setting) (Config, error) {
	c := Config{
		Scheme:  u.Scheme,
		Secure:  engine.Secure && u.Scheme != engine.Scheme,
		Prefix:  strings.Trim(u.Path, "/"),
		Timeout: DefaultTimeout,
		Options: map[string]string{},
		Getenv:  os.Getenv,
		Log:     slog.Default(),
		text:    u.Redacted(),
	}
	if len(engine.Layouts) > 0 {
		c.Layout = engine.Layouts[0]
	}
	if u.User != nil {
		password, _ := u.User.Password()
		c.User, c.Password = u.User.Username(), Secret(password)
	}
	for _, set := range settings {
		set(&c)
	}
	if u.Fragment != "" {
		return c, Invalidf("the URL has a fragment; a # in a name is written %%23")
	}
	if err := c.setHosts(u.Host); err != nil {
		return c, err
	}
	return c, c.setQuery(u.RawQuery, engine)
}

func (c *Config) setHosts(list string) error {
	if list == "" {
		return nil
	}
	for host := range strings.SplitSeq(list, ",") {
		if err := validHost(host); err != nil {
			return err
		}
		c.Hosts = append(c.Hosts, host)
	}
	return nil
}

func validHost(text string) error {
	host, port := text, ""
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return Invalidf("port %q of host %q is no number between 1 and 65535", port, host)
		}
	} else if inner, ok := strings.CutPrefix(text, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(text, ":") {
		return Invalidf("%q is no HOST or HOST:PORT; an IPv6 address stands in brackets", text)
	}
	if host == "" {
		return Invalidf("a host in the list of hosts is empty")
	}
	if strings.ContainsAny(host, "[]@ %\\") {
		return Invalidf("%q is no host", host)
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.HasPrefix(text, "[") {
		return Invalidf("%q is no IPv6 address", host)
	}
	return nil
}

func (c *Config) setQuery(rawQuery string, engine Engine) error {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Invalidf("the URL's query cannot be parsed")
	}
	for key, values := range query {
		if len(values) > 1 {
			return Invalidf("the URL gives %q more than once", key)
		}
		if err := c.set(key, values[0], engine); err != nil {
			return err
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return Invalidf("cert and key go together")
	}
	if !engine.Secure && c.CA+c.Cert+c.ServerName != "" {
		return Invalidf("ca, cert, key and server-name are for TLS, which %s:// does not speak", engine.Scheme)
	}
	if !c.Secure && c.CA+c.Cert+c.ServerName != "" {
		return Invalidf("ca, cert, key and server-name need TLS: write %ss://", engine.Scheme)
	}
	return nil
}

func (c *Config) set(key, value string, engine Engine) (err error) {
	switch key {
	case "timeout":
		c.Timeout, err = time.ParseDuration(value)
		if err != nil || c.Timeout <= 0 {
			return Invalidf("timeout %q is no duration as 5s", value)
		}
	case "layout":
		if len(engine.Layouts) == 0 {
			return Invalidf("%s:// has no layouts", engine.Scheme)
		}
		if !slices.Contains(engine.Layouts, value) {
			return Invalidf("layout %q is none of this engine: %s", value, strings.Join(engine.Layouts, ", "))
		}
		c.Layout = value
	case "stale":
		if c.Stale, err = strconv.ParseBool(value); err != nil {
			return Invalidf("stale %q is neither 1 nor 0", value)
		}
	case "ca":
		c.CA = value
	case "cert":
		c.Cert = value
	case "key":
		c.Key = value
	case "server-name":
		c.ServerName = value
	case "user-file":
		c.UserFile = value
	case "token-file":
		c.TokenFile = value
	default:
		if !slices.ContainsFunc(engine.Options, func(o Option) bool { return o.Name == key }) {
			return Invalidf("unknown query key %q, known are %s", key, optionNames(engine))
		}
		c.Options[key] = value
	}
	return nil
}

func optionNames(engine Engine) string {
	var names []string
	for _, o := range slices.Concat(CommonOptions, engine.Options) {
		names = append(names, o.Name)
	}
	return strings.Join(names, ", ")
}

// The variables that Login and Token look up.
const (
	UserVariable     = "ENVDISCOVER_USER"
	PasswordVariable = "ENVDISCOVER_PASSWORD"
	TokenVariable    = "ENVDISCOVER_TOKEN"
)

// Login gives the credentials for the registry itself: those of the user file, which is read anew at
// each call, else those of the URL, else those of ENVDISCOVER_USER and ENVDISCOVER_PASSWORD. A URL with a
// user and no password takes the password from ENVDISCOVER_PASSWORD. Zero is none.
func (c Config) Login() (Credentials, error) {
	if c.UserFile != "" {
		text, err := readSecret("user", c.UserFile)
		if err != nil {
			return Credentials{}, err
		}
		user, password, found := strings.Cut(text, ":")
		if !found {
			return Credentials{}, Invalidf("user file %s: its first line is not user:password", c.UserFile)
		}
		return Credentials{User: user, Password: Secret(password)}, nil
	}
	login := Credentials{User: c.User, Password: c.Password}
	if login.User == "" {
		login.User = c.Getenv(UserVariable)
	}
	if login.User != "" && login.Password == "" {
		login.Password = Secret(c.Getenv(PasswordVariable))
	}
	return login, nil
}

// Token gives the first line of the token file, read anew at each call, else ENVDISCOVER_TOKEN; empty is
// none.
func (c Config) Token() (Secret, error) {
	if c.TokenFile == "" {
		return Secret(c.Getenv(TokenVariable)), nil
	}
	text, err := readSecret("token", c.TokenFile)
	return Secret(text), err
}

// readSecret reads the first line of a file.
func readSecret(what, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", Mark(ErrInvalid, fmt.Errorf("%s file: %w", what, err))
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), nil
}

// Hostname is what this machine calls itself to others: HOSTNAME, which a container may be given, else the
// kernel's name for it.
func (c Config) Hostname() string {
	if name := c.Getenv("HOSTNAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}
