package discovery

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultTTL is the TTL of a registration that asks for none, in a layout that has none of its own.
const DefaultTTL = 10 * time.Second

// DefaultPort is the name of a port that was given none.
const DefaultPort = "default"

// State says whether an instance can be used. Only a passing one is found by a plain [Query].
type State string

// The states of an instance.
const (
	Starting State = "starting"
	Passing  State = "passing"
	Failing  State = "failing"
	Draining State = "draining"
)

// Port is where an instance listens.
type Port struct {
	Number   int    `json:"number"`
	Protocol string `json:"protocol,omitempty"` // tcp when empty
}

// Instance is one process of a service. Its JSON is the native layout's record.
type Instance struct {
	ID           string            // unique within the service; empty at Register: the layout makes one
	Service      string            // any text but the empty one
	Host         string            // name or IP address that everyone can reach; IPv6 without brackets
	PrivateHost  string            // the same for those on the same private network
	Ports        map[string]Port   // by name, which is mostly the scheme
	PrivatePorts map[string]Port   // by name
	User         string            // credentials of the service's users
	Password     Secret            //
	Tags         []string          //
	Metadata     map[string]string //
	Shard        string            // for services whose instances do not serve the same
	State        State             // passing when empty
	Reason       string            // why it does not pass, for people: the last words of its check; see Normalize
	Critical     bool              //
	Public       bool              //

	// Unknown holds fields of the record that this version does not know; they are written back.
	Unknown map[string]RawField
}

// Credentials are the instance's user and password.
func (in Instance) Credentials() Credentials {
	return Credentials{User: in.User, Password: in.Password}
}

// Clone gives a copy that shares no map or slice with in.
func (in Instance) Clone() Instance {
	in.Ports = maps.Clone(in.Ports)
	in.PrivatePorts = maps.Clone(in.PrivatePorts)
	in.Tags = slices.Clone(in.Tags)
	in.Metadata = maps.Clone(in.Metadata)
	in.Unknown = maps.Clone(in.Unknown)
	return in
}

// KeepUnknown gives in with the fields that this version does not know taken over from the record as it
// was, where in has none of that name.
func (in Instance) KeepUnknown(was Instance) Instance {
	if len(was.Unknown) == 0 {
		return in
	}
	unknown := maps.Clone(was.Unknown)
	maps.Copy(unknown, in.Unknown)
	in.Unknown = unknown
	return in
}

// Normalize checks an instance that is to be announced and fills in what may be left out: the state is
// passing, the protocol tcp, a nameless port "default". The reason becomes one line of at most [MaxReason] bytes
// without control characters or passwords of URLs, and is dropped where the instance passes. The error matches
// [ErrInvalid].
func (in Instance) Normalize() (Instance, error) {
	in = in.Clone()
	if in.Service == "" {
		return in, Invalidf("the service has no name")
	}
	if in.State == "" {
		in.State = Passing
	}
	if !slices.Contains([]State{Starting, Passing, Failing, Draining}, in.State) {
		return in, Invalidf("state %q is none of starting, passing, failing, draining", in.State)
	}
	if in.State == Passing {
		in.Reason = ""
	}
	in.Reason = cleanReason(in.Reason)
	for _, host := range []string{in.Host, in.PrivateHost} {
		if host != "" && !IsHost(host) {
			return in, Invalidf("host %q is neither a name nor an address", host)
		}
	}
	var err error
	if in.Ports, err = normalizePorts(in.Ports); err != nil {
		return in, err
	}
	in.PrivatePorts, err = normalizePorts(in.PrivatePorts)
	return in, err
}

func normalizePorts(ports map[string]Port) (map[string]Port, error) {
	if len(ports) == 0 {
		return nil, nil
	}
	normal := make(map[string]Port, len(ports))
	for name, port := range ports {
		if port.Number < 1 || port.Number > 65535 {
			return nil, Invalidf("port %q: %d is not between 1 and 65535", name, port.Number)
		}
		if port.Protocol == "" {
			port.Protocol = "tcp"
		}
		if name == "" {
			name = DefaultPort
			if _, taken := ports[name]; taken {
				return nil, Invalidf("a nameless port is %q, and there is another of that name", name)
			}
		}
		normal[name] = port
	}
	return normal, nil
}

// URL gives scheme://user:password@host:port and path, which is appended as it stands and may have a
// query. The port is the one named as the scheme, or the only one; else the error matches
// [ErrUnknownScheme]. It matches [ErrInvalid] when host, port or path cannot stand in a URL.
func (in Instance) URL(scheme, path string) (string, error) {
	return in.url(in.Host, in.Ports, scheme, path)
}

// PrivateURL is URL with the private host and the private ports, which are the public ones where the
// instance has no private ones.
func (in Instance) PrivateURL(scheme, path string) (string, error) {
	host, ports := in.endpoint(true)
	return in.url(host, ports, scheme, path)
}

// endpoint is where the instance is, for all or for those near it.
func (in Instance) endpoint(private bool) (host string, ports map[string]Port) {
	host, ports = in.Host, in.Ports
	if private && in.PrivateHost != "" {
		host = in.PrivateHost
	}
	if private && len(in.PrivatePorts) > 0 {
		ports = in.PrivatePorts
	}
	return host, ports
}

func (in Instance) url(host string, ports map[string]Port, scheme, path string) (string, error) {
	address, err := in.address(host, ports, scheme)
	if err != nil {
		return "", &Error{Op: "make a URL for", Name: in.Service, Err: err}
	}
	u := url.URL{Scheme: scheme, Host: address}
	switch {
	case in.Password != "":
		u.User = url.UserPassword(in.User, string(in.Password))
	case in.User != "":
		u.User = url.User(in.User)
	}
	if path != "" && path[0] != '/' && path[0] != '?' {
		path = "/" + path
	}
	text := u.String() + escapePath(path)
	if parsed, err := url.Parse(text); err != nil || parsed.Host != address {
		return "", &Error{Op: "make a URL for", Name: in.Service, Err: Invalidf("scheme %q, host %q and path %q make none", scheme, host, path)}
	}
	return text, nil
}

// escapePath escapes what a path is written with by people and no URL has: spaces, and what is not ASCII.
func escapePath(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c == ' ' || c >= 0x80 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// address is host:port as it stands in a URL.
func (in Instance) address(host string, ports map[string]Port, scheme string) (string, error) {
	if host == "" {
		return "", Invalidf("instance %q has no host", in.ID)
	}
	if !IsHost(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")) {
		return "", Invalidf("host %q of instance %q is neither a name nor an address", host, in.ID)
	}
	port, err := in.port(ports, scheme)
	if err != nil {
		return "", err
	}
	if port.Number < 1 || port.Number > 65535 {
		return "", Invalidf("port %d of instance %q is not between 1 and 65535", port.Number, in.ID)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port.Number), nil
}

func (in Instance) port(ports map[string]Port, scheme string) (Port, error) {
	name := scheme
	if name == "" {
		name = DefaultPort
	}
	if port, ok := ports[name]; ok {
		return port, nil
	}
	if len(ports) == 1 {
		for _, port := range ports {
			return port, nil
		}
	}
	return Port{}, fmt.Errorf("%w: instance %q has no port %q, %s", ErrUnknownScheme, in.ID, name, portNames(ports))
}

func portNames(ports map[string]Port) string {
	if len(ports) == 0 {
		return "and no other"
	}
	return "only " + strings.Join(slices.Sorted(maps.Keys(ports)), ", ")
}

// IsHost reports whether text is an IP address, or a name as DNS and hosts files have them, with _ as some do.
func IsHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	if len(text) > 254 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notOfName) {
			return false
		}
	}
	return true
}

func notOfName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// Invalidf makes an error that matches ErrInvalid, as fmt.Errorf makes one.
func Invalidf(format string, args ...any) error {
	return &kindError{kind: ErrInvalid, err: fmt.Errorf(format, args...)}
}

// kindError is an error of a kind: errors.Is finds both.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// Mark makes err match kind, one of this package's errors, for errors.Is; its text stays. A nil err
// stays nil.
func Mark(kind, err error) error {
	if err == nil || errors.Is(err, kind) {
		return err
	}
	return &kindError{kind: kind, err: err}
}
