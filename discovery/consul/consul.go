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
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
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
	Layouts: []string{"native", "containerpilot", "plain"},
	Options: []discovery.Option{
		{Name: optionDatacenter, Help: "read there, and write values without a TTL; all else is in the agent's own"},
		{Name: optionDeregister, Help: "how long a dead service stays in the catalogue, 1m or more, 0 for ever; 10m"},
		{Name: optionOverride, Help: "1: others may change the tags in the catalogue"},
	},
	Validate: validate,
	Check:    driver.Check(open),
	Open:     driver.Opener(open),
}

// The bounds of deregister-after.
const (
	defaultDeregister = 10 * time.Minute
	minDeregister     = time.Minute // Consul takes less for this
)

func validate(config discovery.Config) error {
	if len(config.Hosts) > 1 {
		return discovery.Invalidf("Consul is asked through one agent, the local one: name one host")
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
			return discovery.Invalidf("%q is no prefix of keys", prefix)
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
		return 0, discovery.Invalidf("%s %q is neither a duration of at least %s, as 10m, nor 0", optionDeregister, text, minDeregister)
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
		return false, discovery.Invalidf("%s %q is neither 1 nor 0", name, text)
	}
}

// backend is one opening of an agent: the single steps that package driver takes.
type backend struct {
	*agent.Agent
	registry *driver.Registry
	config   discovery.Config
	keys     keys
	layout   layout.Layout // of instances
}

func open(config discovery.Config) (*driver.Registry, error) {
	b := &backend{config: config, keys: newKeys(config.Prefix)}
	if err := b.connect(); err != nil {
		return nil, err
	}
	b.registry = driver.Open(config, b.layout, b, 0)
	if b.isContainerpilot() {
		b.registry.DefaultTTL = containerpilotTTL
	}
	return b.registry, nil
}

func (b *backend) connect() (err error) {
	prefix := b.config.Prefix
	if b.isContainerpilot() {
		prefix = "" // the catalogue has none
	}
	if b.layout, err = layout.New(b.config.Layout, prefix, b.config.Hostname()); err != nil {
		return err
	}
	if named, is := b.layout.(layout.ContainerPilot); is {
		named.Keys = b.keys.Keys
		b.layout = named
	}
	b.Agent, err = agent.New(b.config, b.config.Options[optionDatacenter])
	return err
}

// isContainerpilot reports whether the layout is containerpilot.
func (b *backend) isContainerpilot() bool { return b.config.Layout == "containerpilot" }

// Hint says what people can do about an error; "" if nothing is known.
func (b *backend) Hint(err error) string {
	if !errors.Is(err, discovery.ErrDenied) {
		return b.Agent.Hint(err)
	}
	return fmt.Sprintf(`give a token by ?token-file=, CONSUL_HTTP_TOKEN_FILE or CONSUL_HTTP_TOKEN; its policy: key_prefix "%s/" { policy = "write" } `+
		`session_prefix "" { policy = "write" } service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`, b.keys.prefix)
}

// Fit gives an instance its ID, and refuses one that cannot be written.
func (b *backend) Fit(in discovery.Instance) (discovery.Instance, error) {
	if b.isContainerpilot() {
		if err := containerpilotName(in.Service); err != nil {
			return in, err
		}
	}
	chosen := in.ID != ""
	in, err := layout.Fit(b.layout, b.config.Log)(in)
	switch {
	case err != nil:
		return in, err
	case b.isContainerpilot():
		return in, containerpilotName(in.ID)
	case !chosen:
		in.ID = strings.ToLower(in.ID) // so that the catalogue can have the same
	}
	return in, nil
}

// Encode gives the record of an instance, whose check says whether it passes in the layout containerpilot.
func (b *backend) Encode(in discovery.Instance) (key string, value []byte, ok bool, err error) {
	records, err := b.layout.Encode(in)
	if err != nil || b.isContainerpilot() {
		return in.ID, nil, true, err
	}
	return records[0].Key, records[0].Value, true, nil
}

func (b *backend) NewLease(in discovery.Instance, ttl time.Duration) driver.Lease {
	if b.isContainerpilot() {
		return newContainerpilotLease(b, ttl)
	}
	return newLease(b, in, ttl)
}

func (b *backend) ListServices(ctx context.Context) ([]string, error) {
	return agent.Call(ctx, b.Agent, func(ctx context.Context, client *agent.Client) ([]string, error) {
		if b.isContainerpilot() {
			return catalogServices(client, b.Reading(ctx))
		}
		entries, _, err := client.KV().List(b.keys.services, b.Reading(ctx))
		if err == nil && len(entries) == 0 {
			err = b.mayRead(ctx, client, b.keys.services)
		}
		return layout.Services(b.layout, b.config.Log, held(entries)), err
	})
}
