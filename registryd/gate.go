package registryd

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/envharness/envharness/registryd/listen"
	"github.com/envharness/envharness/registryd/node"
)

// gate decides who gets in.
type gate struct {
	options Options
	node    node.Node
	logins  *logins
	metrics *metrics
}

// browser refuses what only a browser sends that another web page told to: it runs on a trusted machine, and
// must not do what that page wants.
func (g *gate) browser(r *http.Request) error {
	client := listen.ClientOf(r.Context())
	if !client.Secure && !client.Unix && !g.knownHost(r.Host) {
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

// enter checks who a request comes from and notes it in the request. Everyone who got here is let in, unless
// credentials are asked for; those that are sent are checked in any case.
func (g *gate) enter(r *http.Request) (*http.Request, error) {
	if err := g.certificate(r); err != nil {
		return nil, err
	}
	who, err := g.identify(r)
	return r.WithContext(withCaller(r.Context(), who)), err
}

// identify gives the caller whom etcd knows. Credentials that etcd has no use for are nobody's.
func (g *gate) identify(r *http.Request) (caller, error) {
	who := readCaller(r)
	if who.anonymous() {
		return who, g.anonymous(r)
	}
	known, err := g.check(r.Context(), who)
	switch {
	case node.IsDenial(err):
		return who, askForLogin("wrong user, password or token")
	case err != nil || known:
		return who, err
	case g.options.Auth && !listen.ClientOf(r.Context()).Local:
		return who, askForLogin("wrong user, password or token")
	}
	return caller{peer: who.peer}, nil
}

// certificate asks for the client's, if the server was given an authority for that.
func (g *gate) certificate(r *http.Request) error {
	if g.options.CA == "" || r.TLS == nil || len(r.TLS.PeerCertificates) > 0 {
		return nil
	}
	g.metrics.refused("certificate")
	return problem(http.StatusForbidden, "a client needs a certificate here")
}

// anonymous judges a caller without credentials. While etcd has no users yet, those on this machine may make
// some.
func (g *gate) anonymous(r *http.Request) error {
	if !g.options.Auth {
		return nil
	}
	enabled, err := g.node.AuthEnabled(r.Context())
	if err != nil {
		return err
	}
	if !enabled && listen.ClientOf(r.Context()).Local {
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
		if call == "AuthStatus" || call == "Status" || listen.ClientOf(r.Context()).Local {
			return nil
		}
	default:
		return nil
	}
	enabled, err := g.node.AuthEnabled(r.Context())
	if err == nil && !enabled {
		err = problem(http.StatusForbidden, "only the machine itself may do this, as long as etcd has no users")
	}
	return err
}

// check asks etcd whether credentials are good at this moment. It knows nobody while it has no users.
func (g *gate) check(ctx context.Context, who caller) (known bool, err error) {
	if who.user != "" {
		token, err := g.logins.verified(ctx, who)
		return token != "", err
	}
	enabled, err := g.node.AuthEnabled(ctx)
	if err != nil || !enabled {
		return false, err
	}
	valid, err := g.node.ValidToken(ctx, who.token)
	if err == nil && !valid {
		err = rpctypes.ErrInvalidAuthToken
	}
	return true, err
}

// entitled reports whether a caller that was let in is let in still.
func (g *gate) entitled(ctx context.Context, who caller) bool {
	if who.anonymous() {
		enabled, err := g.node.AuthEnabled(ctx)
		return err == nil && !enabled
	}
	known, err := g.check(ctx, who)
	return err == nil && known
}
