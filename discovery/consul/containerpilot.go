package consul

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
)

// containerpilotTTL is the TTL of a registration that asks for none, in the layout containerpilot.
const containerpilotTTL = 30 * time.Second

// containerpilotName refuses what cannot be part of a path for every version of the agent.
func containerpilotName(name string) error {
	odd := func(c rune) bool { return c == '%' || c == '/' || !unicode.IsPrint(c) }
	if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, odd) {
		return discovery.Invalidf("this layout cannot write the name %q: no /, %%, ., .. and nothing that cannot be printed", name)
	}
	return nil
}

// containerpilotLease is one registration in the layout containerpilot: a service with a check that has the same ID. An
// instance that does not pass is one whose check is critical.
type containerpilotLease struct {
	backend *backend
	entry   catalogEntry
	name    string
	ttl     time.Duration
}

func newContainerpilotLease(b *backend, ttl time.Duration) *containerpilotLease {
	return &containerpilotLease{
		backend: b,
		entry:   catalogEntry{backend: b, owner: 1 + rand.Uint64N(1<<63)},
		ttl:     (ttl + time.Second - 1).Truncate(time.Second),
	}
}

func (l *containerpilotLease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	in := record.Instance
	return driver.Grant{TTL: l.ttl}, l.do(ctx, in, func(ctx context.Context, client *agent.Client) error {
		if err := l.backend.AtHome(ctx, client); err != nil {
			return err
		}
		if !takeOver {
			if err := l.check(ctx, client, in.ID); err != nil && !errors.Is(err, driver.ErrLost) {
				return err
			}
		}
		return l.show(ctx, client, in)
	})
}

func (l *containerpilotLease) Renew(ctx context.Context, record driver.Record) error {
	in := record.Instance
	return l.do(ctx, in, func(ctx context.Context, client *agent.Client) error {
		if err := l.check(ctx, client, in.ID); err != nil {
			return err
		}
		if l.entry.outdated() {
			return l.show(ctx, client, in)
		}
		return l.entry.heartbeat(ctx, client, status(in))
	})
}

func (l *containerpilotLease) Update(ctx context.Context, record driver.Record) error {
	return l.do(ctx, record.Instance, func(ctx context.Context, client *agent.Client) error {
		if err := l.check(ctx, client, record.Instance.ID); err != nil {
			return err
		}
		return l.show(ctx, client, record.Instance)
	})
}

func (l *containerpilotLease) Deregister(ctx context.Context) error {
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		if err := l.entry.deregister(ctx, client); err != nil || l.name == "" {
			return err
		}
		return l.entry.settled(ctx, client, l.name, func(entries []*api.ServiceEntry) bool {
			return !slices.ContainsFunc(entries, l.isOurs)
		})
	})
}

// do takes one step.
func (l *containerpilotLease) do(ctx context.Context, in discovery.Instance, step func(context.Context, *agent.Client) error) error {
	l.name, l.entry.check = in.Service, in.ID
	return agent.Do(ctx, l.backend.Agent, step)
}

// check is ErrLost when the service is gone from the agent and ErrConflict when it is another's.
func (l *containerpilotLease) check(ctx context.Context, client *agent.Client, id string) error {
	service, err := find(ctx, client, id)
	if err != nil {
		return err
	}
	return driver.Own(service != nil, service != nil && ownerOf(service.Meta) == l.entry.owner)
}

// status is what the check of an instance says.
func status(in discovery.Instance) string {
	if in.State == discovery.Passing {
		return api.HealthPassing
	}
	return api.HealthCritical
}

// show makes the catalogue what the instance says, and waits until it is.
func (l *containerpilotLease) show(ctx context.Context, client *agent.Client, in discovery.Instance) error {
	service := l.entry.service(in.ID, in.Service, in)
	service.Check = l.entry.ttlCheck(wholeSeconds(l.ttl), in.ID, "TTL for "+in.Service+" set by envharness", status(in))
	if err := l.entry.register(ctx, client, service, status(in)); err != nil {
		return err
	}
	return l.entry.settled(ctx, client, in.Service, func(entries []*api.ServiceEntry) bool {
		return slices.ContainsFunc(entries, func(entry *api.ServiceEntry) bool {
			return l.isOurs(entry) && entry.Service.Port == service.Port && entry.Service.Address == service.Address &&
				(service.EnableTagOverride || slices.Equal(entry.Service.Tags, service.Tags)) && l.statusOf(entry) == status(in)
		})
	})
}

func (l *containerpilotLease) isOurs(entry *api.ServiceEntry) bool {
	return entry.Service != nil && ownerOf(entry.Service.Meta) == l.entry.owner
}

// statusOf is that of our own check.
func (l *containerpilotLease) statusOf(entry *api.ServiceEntry) string {
	for _, check := range entry.Checks {
		if check.CheckID == l.entry.check {
			return check.Status
		}
	}
	return ""
}

func (s *source) queryPassing(ctx context.Context, client *agent.Client, q *api.QueryOptions) (func() []driver.Item, uint64, error) {
	entries, meta, err := client.Health().Service(s.name, "", true, q)
	if err == nil && len(entries) == 0 {
		err = s.visible(ctx, client, meta)
	}
	if err != nil {
		return nil, 0, err
	}
	return func() []driver.Item { return s.takePassing(entries, meta.LastIndex) }, meta.LastIndex, nil
}

// visible is the error of a token that may not read the service. To one without a token Consul does not tell that
// it leaves something out; the agent's own view of a service is refused by name.
func (s *source) visible(ctx context.Context, client *agent.Client, meta *api.QueryMeta) error {
	switch {
	case meta.ResultsFilteredByACLs:
		return errHidden
	case meta.DefaultACLPolicy != "deny":
		return nil
	}
	var status any
	_, err := client.Raw().Query("/v1/agent/health/service/name/"+s.name, &status, agent.Strong(ctx))
	if agent.IsStatus(err, http.StatusForbidden, "") {
		return err
	}
	return nil // an agent that has no such service, or only failing ones, answers with an error, too
}

// takePassing takes those that pass. One ID at two agents is the one that was written last.
func (s *source) takePassing(entries []*api.ServiceEntry, index uint64) []driver.Item {
	newest := map[string]*api.ServiceEntry{}
	for _, entry := range entries {
		if entry.Service == nil || entry.Service.Service != s.name { // Consul ignores case
			continue
		}
		if other := newest[entry.Service.ID]; other == nil || other.Service.ModifyIndex < entry.Service.ModifyIndex {
			newest[entry.Service.ID] = entry
		}
	}
	s.index = index
	now := map[string]driver.Item{}
	for id, entry := range newest {
		now[id] = driver.Item{Key: id, Note: containerpilotInstance(entry)}
	}
	return s.difference(now)
}

// containerpilotInstance is the instance of an entry. A service without an address is at its node's.
func containerpilotInstance(entry *api.ServiceEntry) discovery.Instance {
	in := discovery.Instance{
		ID:      entry.Service.ID,
		Service: entry.Service.Service,
		Host:    entry.Service.Address,
		State:   discovery.Passing,
	}
	if in.Host == "" && entry.Node != nil {
		in.Host = entry.Node.Address
	}
	if len(entry.Service.Tags) > 0 {
		in.Tags = entry.Service.Tags
	}
	if entry.Service.Port != 0 {
		in.Ports = map[string]discovery.Port{discovery.DefaultPort: {Number: entry.Service.Port, Protocol: "tcp"}}
	}
	return in
}

// catalogServices are those of the catalogue, but for Consul itself.
func catalogServices(client *agent.Client, q *api.QueryOptions) ([]string, error) {
	services, meta, err := client.Catalog().Services(q)
	if err == nil && len(services) == 0 && meta.ResultsFilteredByACLs {
		err = errHidden
	}
	delete(services, "consul")
	names := slices.AppendSeq([]string{}, maps.Keys(services))
	slices.Sort(names)
	return names, err
}
