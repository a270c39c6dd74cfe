package registryd

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// gate decides who gets in.
type gate struct {
	options Options
	backend backend
	logins  *logins
	metrics *metrics
}

// browser refuses what only a browser sends that another web page told to: it runs on a trusted machine, and
// must not do what that page wants.
func (g *gate) browser(r *http.Request) error {
	door := doorOf(r)
	if !door.secure && !door.unix && !g.knownHost(r.Host) {
		g.metrics.refused("host")
		return problem(http.StatusMisdirectedRequest, "this server is not called %q: use its address, or name it by --host", r.Host)
	}
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		g.metrics.refused("origin")
		return problem(http.StatusForbidden, "another web page may not write here")
	}
	return nil
}

// knownHost tells our names from those that somebody's DNS points at us. An address is nobody's name.
func (g *gate) knownHost(host string) bool {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	same := func(name string) bool { return strings.EqualFold(name, host) }
	return same("localhost") || slices.ContainsFunc(g.options.Hosts, same)
}

// enter checks who a request comes from and notes it in the request. Everyone who got here through an open door
// is let in, unless credentials are asked for; those that are sent are checked in any case.
func (g *gate) enter(r *http.Request) (*http.Request, error) {
	if err := g.certificate(r); err != nil {
		return nil, err
	}
	who := readCaller(r)
	r = r.WithContext(withCaller(r.Context(), who))
	if who.anonymous() {
		return r, g.stranger(r)
	}
	return r, g.login(r, who)
}

// certificate asks for the client's, if the server was given an authority for that.
func (g *gate) certificate(r *http.Request) error {
	if g.options.CA == "" || r.TLS == nil || len(r.TLS.PeerCertificates) > 0 {
		return nil
	}
	g.metrics.refused("certificate")
	return problem(http.StatusForbidden, "a client needs a certificate here")
}

// stranger judges a caller without credentials. While etcd has no users yet, those on this machine may make
// some.
func (g *gate) stranger(r *http.Request) error {
	if !g.options.Auth {
		return nil
	}
	enabled, err := g.backend.authEnabled(r.Context())
	if err != nil {
		return err
	}
	if !enabled && doorOf(r).local {
		return nil
	}
	g.metrics.refused("credentials")
	if !enabled {
		return problem(http.StatusForbidden, "etcd has no users yet: make them on the machine itself, by etcdctl user add root and etcdctl auth enable")
	}
	return askForLogin("a user and a password are asked for")
}

// operator keeps from others what is for who runs this registry. Its etcd is of one member and stays so, because it
// would stand still with a second one that is not there. Users and the like are for this machine to make; once there
// are some, etcd asks for its root.
func (g *gate) operator(r *http.Request) error {
	service, call, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/etcdserverpb."), "/")
	switch service {
	case "Cluster":
		if call == "MemberList" {
			return nil
		}
		return problem(http.StatusForbidden, "this etcd has one member and stays so: for a cluster run etcd, and --etcd in front of it")
	case "Auth", "Maintenance":
		if call == "AuthStatus" || call == "Status" || doorOf(r).local {
			return nil
		}
	default:
		return nil
	}
	enabled, err := g.backend.authEnabled(r.Context())
	if err == nil && !enabled {
		err = problem(http.StatusForbidden, "only the machine itself may do this, as long as etcd has no users")
	}
	return err
}

// login checks credentials.
func (g *gate) login(r *http.Request, who caller) error {
	err := g.check(r, who)
	if isDenial(err) {
		return askForLogin("wrong user, password or token")
	}
	return err
}

func (g *gate) check(r *http.Request, who caller) error {
	if who.user != "" {
		token, err := g.logins.token(r.Context(), who)
		if err == nil && token == "" {
			return g.noUsers(r)
		}
		return err
	}
	enabled, err := g.backend.authEnabled(r.Context())
	if err != nil {
		return err
	}
	if !enabled {
		return g.noUsers(r)
	}
	valid, err := g.backend.validToken(r.Context(), who.token)
	if err == nil && !valid {
		err = rpctypes.ErrInvalidAuthToken
	}
	return err
}

// noUsers judges credentials that etcd has no use for.
func (g *gate) noUsers(r *http.Request) error {
	if !g.options.Auth || doorOf(r).local {
		return nil
	}
	return rpctypes.ErrAuthFailed
}
