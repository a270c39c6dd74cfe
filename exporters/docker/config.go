package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moby/moby/client"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/failure"
)

// DefaultVariable is where containers declare services.
const DefaultVariable = "DISCOVER"

// DefaultRealm is the realm of hosts that are given none.
const DefaultRealm = "default"

// What a container's HEALTHCHECK is.
const (
	HealthState  = "state"  // the state of its services
	HealthIgnore = "ignore" // nothing: they pass while it runs
)

// Config is what an exporter is told. Its zero value works, but for the registry.
type Config struct {
	Variable          string   // where containers declare services; DefaultVariable when empty
	HostIP            string   // the address that everyone reaches the host at, or IPv4,IPv6; those of the default routes when empty
	HostID            string   // the host's name in IDs, unlike that of other hosts; the host name when empty
	Realm             string   // a name for the part of the fleet; DefaultRealm when empty
	Prefix            string   // the namespace in the registry, when RegistryURL has none
	DockerURL         string   // as unix:///var/run/docker.sock; DOCKER_HOST or the usual socket when empty
	DockerHealth      string   // HealthState or HealthIgnore; HealthState when empty
	DockerAddress     string   // AddressHost, AddressContainer or "container:NETWORK"; AddressHost when empty
	DockerRegistrator bool     // read registrator's SERVICE_* variables and labels too
	DockerAllow       []string // globs as of path.Match of names that containers may publish; all when empty
	RegistryURL       string   // the registry, as discovery/engines has it

	// Registry is used in place of RegistryURL. The caller closes it, after Run.
	Registry discovery.Registry

	TTL time.Duration // of announcements; discovery.DefaultTTL when 0
	Log *slog.Logger  // slog.Default() when nil

	// In place of the defaults, for tests.
	reconcileEvery, restAfterLoss, addressEvery time.Duration
	findAddresses                               func() ([]netip.Addr, error)
}

// Check tells what is wrong with a configuration, by errors with hints. It asks neither the engine nor the registry.
func (c Config) Check() error {
	if _, err := newHost(c); err != nil {
		return err
	}
	if c.HostIP != "" {
		if _, err := parseAddresses(c.HostIP); err != nil {
			return err
		}
	}
	if c.DockerURL != "" {
		if _, err := client.ParseHostURL(c.DockerURL); err != nil {
			return badEngineURL(c.DockerURL, err)
		}
	}
	registry, err := withPrefix(cmp.Or(c.RegistryURL, "etcd://localhost"), c.Prefix)
	if err != nil {
		return err
	}
	_, _, err = engines.All.Find(registry)
	return err
}

func newHost(config Config) (h host, err error) {
	h = host{
		id:          config.HostID,
		join:        ":",
		realm:       cmp.Or(config.Realm, DefaultRealm),
		variable:    cmp.Or(config.Variable, DefaultVariable),
		allow:       config.DockerAllow,
		health:      config.DockerHealth != HealthIgnore,
		registrator: config.DockerRegistrator,
	}
	if h.inner, err = parseInner(config.DockerAddress); err != nil {
		return h, err
	}
	if !slices.Contains([]string{"", HealthState, HealthIgnore}, config.DockerHealth) {
		return h, failure.Misuse("write state, to let a HEALTHCHECK be the state, or ignore", "--docker-health %q is neither %s nor %s",
			config.DockerHealth, HealthState, HealthIgnore)
	}
	if strings.ContainsFunc(h.variable, notOfVariable) {
		return h, failure.Misuse("name the variable of containers alone, as "+DefaultVariable, "--variable %q is no name of a variable", h.variable)
	}
	if h.id == "" {
		if h.id, err = os.Hostname(); err != nil {
			return h, fmt.Errorf("cannot find this host's name: %w; give it: --host-id NAME", err)
		}
		if resolvable(config.RegistryURL) {
			h.id = strings.ReplaceAll(strings.ToLower(h.id), ".", "-")
		}
	}
	if resolvable(config.RegistryURL) {
		h.join = "-"
	}
	for option, name := range map[string]string{"--host-id": h.id, "--realm": h.realm} {
		if err := validName(name); err != nil {
			return h, failure.Misuse("write a name as node-1", "%s %q: %v", option, name, err)
		}
	}
	for _, glob := range h.allow {
		if _, err := path.Match(glob, ""); err != nil {
			return h, failure.Misuse("write a glob as web-*", "--docker-allow %q is no glob as web-*: %v", glob, err)
		}
	}
	return h, nil
}

// notOfVariable finds what no variable's name has.
func notOfVariable(r rune) bool { return r == '=' || unicode.IsSpace(r) || unicode.IsControl(r) }

// resolvable tells that DNS answers with what the registry holds, so that IDs are labels of DNS, which have no colon.
func resolvable(registry string) bool {
	parsed, err := url.Parse(registry)
	return err == nil && parsed.Query().Get("layout") == "skydns"
}

// newFinder gives the host's addresses, and what looks for them again; nil where they are given.
func newFinder(config Config) (addresses, func() ([]netip.Addr, error), error) {
	if config.HostIP != "" {
		given, err := parseAddresses(config.HostIP)
		return given, nil, err
	}
	find := config.findAddresses
	if find == nil {
		find = findAddresses
	}
	found, err := find()
	return addresses{}.renewed(found), find, err
}

func openRegistry(config Config, log *slog.Logger) (discovery.Registry, error) {
	if config.RegistryURL == "" {
		return nil, errors.New("no registry to announce to; give it: --registry etcd://HOST")
	}
	registry, err := withPrefix(config.RegistryURL, config.Prefix)
	if err != nil {
		return nil, err
	}
	return engines.Open(context.Background(), registry, discovery.WithLog(log))
}

// withPrefix puts the prefix into a URL as its path.
func withPrefix(registry, prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	scheme, rest, found := strings.Cut(registry, "://")
	if prefix == "" || !found {
		return registry, nil
	}
	hosts, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		hosts, tail = rest[:i], rest[i:]
	}
	own, query := tail, ""
	if i := strings.IndexAny(tail, "?#"); i >= 0 {
		own, query = tail[:i], tail[i:]
	}
	if own = strings.Trim(own, "/"); own != "" && own != prefix {
		return "", failure.Misuse("leave one of them out", "--prefix %q, and the registry's URL has the prefix %q; give one of them", prefix, own)
	}
	return scheme + "://" + hosts + "/" + prefix + query, nil
}
