// Package consul is the engine consul://HOST:8500/PREFIX, and consuls:// over TLS: the local Consul agent by
// its official client.
//
// In the native layout a registration is three things that stand and fall together: a service with a TTL check
// at the agent, which shows it to everyone who asks Consul; a session that the check keeps alive; and, held by
// that session, the record in the KV store, which has what the catalogue cannot hold or should not. When the
// check misses its TTL, Consul ends the session and deletes the record in the same step. In the layout
// containerpilot there is the service with its check alone.
package consul

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// The engine's own query keys.
const (
	optionDatacenter = "datacenter"
	optionDeregister = "deregister-after"
	optionOverride   = "enable-tag-override"
)

// Engine is consul:// and consuls://.
var Engine = discovery.Engine{
	Scheme: "consul",
	Secure: true,
	Help: `consul://HOST:8500/PREFIX: the local Consul agent, 1.7 or newer; with no host as CONSUL_HTTP_ADDR says.
Consul's own variables hold where the URL says nothing: CONSUL_HTTP_ADDR, _TOKEN, _TOKEN_FILE, _AUTH, _SSL,
_SSL_VERIFY, CONSUL_CACERT, CAPATH, CLIENT_CERT, CLIENT_KEY, TLS_SERVER_NAME, NAMESPACE, PARTITION.
The token needs key:write and session:write, service:write and node:read; in KV only PREFIX is touched.`,
	Promises: discovery.Promises{
		Death: "Gone when its TTL runs out, for Consul's own readers too; a whole machine as soon as the other agents " +
			"notice. The dead service stays in the catalogue as critical until deregister-after.",
		Partition: "An agent cut off from the servers announces nothing new; what it announced is gone once the others " +
			"take it for failed. Without a leader nothing is read, unless stale=1; watches keep the last snapshot, marked stale.",
		Director: "One at a time, each write fenced by its session. A dead one is followed when the session ends: " +
			"after its TTL, 10s at least, or up to twice that.",
		Limits: "A value with a TTL is kept by a session: it lasts 10s at least and up to twice its TTL. containerpilot " +
			"has one port an instance and no states: who does not pass is not there.",
	},
	Layouts: []string{"native", "containerpilot"},
	Options: []discovery.Option{
		{Name: optionDatacenter, Help: "read there, and write values without a TTL; all else is in the agent's own"},
		{Name: optionDeregister, Help: "how long a dead service stays in the catalogue, 1m or more, 0 for ever; 10m"},
		{Name: optionOverride, Help: "1: others may change the tags in the catalogue"},
	},
	Validate: validate,
	Check:    driver.Check(open),
	Open: func(_ context.Context, config discovery.Config) (discovery.Registry, error) {
		return open(config)
	},
}

// The bounds of deregister-after.
const (
	defaultDeregister = 10 * time.Minute
	minDeregister     = time.Minute // Consul takes less for this
)

func validate(config discovery.Config) error {
	if len(config.Hosts) > 1 {
		return invalid("Consul is asked through one agent, the local one: name one host")
	}
	if _, err := deregisterAfter(config); err != nil {
		return err
	}
	if _, err := flag(config, optionOverride); err != nil {
		return err
	}
	return validPrefix(config.Prefix)
}

// validPrefix refuses prefixes that an agent would read as others.
func validPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		odd := func(c rune) bool { return c == '%' || !unicode.IsPrint(c) }
		if segment == "" || segment == "." || segment == ".." || !utf8.ValidString(segment) || strings.ContainsFunc(segment, odd) {
			return invalid("%q is no prefix of keys", prefix)
		}
	}
	return nil
}

func deregisterAfter(config discovery.Config) (time.Duration, error) {
	text, given := config.Options[optionDeregister]
	if !given {
		return defaultDeregister, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d != 0 && d < minDeregister {
		return 0, invalid("%s %q is neither a duration of at least %s, as 10m, nor 0", optionDeregister, text, minDeregister)
	}
	return d, nil
}

func flag(config discovery.Config, name string) (bool, error) {
	switch text := config.Options[name]; text {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, invalid("%s %q is neither 1 nor 0", name, text)
	}
}

// registry is one opening of an agent. It implements discovery.Values and discovery.Elector too.
type registry struct {
	config     discovery.Config
	settings   settings
	keys       keys
	layout     layout.Layout // of instances
	connection *connection
	group      *driver.Group
	feeds      *feeds
}

func open(config discovery.Config) (*registry, error) {
	r := &registry{config: config, keys: newKeys(config.Prefix), group: driver.NewGroup()}
	err := r.connect()
	if err != nil {
		return nil, &discovery.Error{Op: "open registry", Engine: config.String(), Err: err}
	}
	r.feeds = newFeeds(r)
	return r, nil
}

func (r *registry) connect() (err error) {
	prefix := r.config.Prefix
	if r.pilot() {
		prefix = "" // the catalogue has none
	}
	if r.layout, err = layout.New(r.config.Layout, prefix, r.config.Hostname()); err != nil {
		return err
	}
	if r.settings, err = newSettings(r.config); err != nil {
		return err
	}
	r.connection, err = newConnection(r.settings)
	return err
}

// pilot reports whether the layout is containerpilot.
func (r *registry) pilot() bool { return r.config.Layout == "containerpilot" }

func (r *registry) Close() error {
	r.group.Close()
	r.connection.close()
	return nil
}

func (r *registry) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	what, err := driver.Accept(r.config, in, ttl, r.fit)
	if err != nil {
		return nil, r.fail("register", in.Service, err)
	}
	if discovery.NewRegisterOptions(options).SyncCredentials {
		what.Credentials = credentials{r}
	}
	return driver.Register(ctx, r.group, r.newLease(what.Instance, ttl), what), nil
}

// fit gives an instance its ID, and refuses one that cannot be written.
func (r *registry) fit(in discovery.Instance) (discovery.Instance, error) {
	if r.pilot() {
		if err := pilotName(in.Service); err != nil {
			return in, err
		}
	}
	chosen := in.ID != ""
	in, err := layout.Fit(r.layout, r.config.Log)(in)
	switch {
	case err != nil:
		return in, err
	case r.pilot():
		return in, pilotName(in.ID)
	case !chosen:
		in.ID = strings.ToLower(in.ID) // so that the catalogue can have the same
	}
	return in, nil
}

func (r *registry) newLease(in discovery.Instance, ttl time.Duration) driver.Lease {
	if r.pilot() {
		return newPilotLease(r, ttl)
	}
	return newLease(r, in, ttl)
}

func (r *registry) Instances(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	state, err := r.newService(service)
	if err != nil {
		return discovery.Snapshot{}, r.fail("read service", service, err)
	}
	_, err = call(ctx, r, "read service", service, func(ctx context.Context, client *client) (any, error) {
		return nil, state.fetch(ctx, client)
	})
	return state.snapshot(q), err
}

func (r *registry) Services(ctx context.Context) ([]string, error) {
	return call(ctx, r, "list services", "", func(ctx context.Context, client *client) ([]string, error) {
		if r.pilot() {
			return pilotServices(client, r.reading(ctx))
		}
		entries, _, err := client.KV().List(r.keys.services, r.reading(ctx))
		if err == nil && len(entries) == 0 {
			err = r.mayRead(ctx, client, r.keys.services)
		}
		return layout.Services(r.layout, r.config.Log, r.held(entries)), err
	})
}

// invalid makes an error that matches discovery.ErrInvalid.
func invalid(format string, args ...any) error {
	return discovery.Mark(discovery.ErrInvalid, fmt.Errorf(format, args...))
}
