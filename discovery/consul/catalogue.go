package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
)

// ownerMeta is the key of a service's Meta that says whose the service is: a number that each registration has
// anew. With the record in the KV store stands the same, as its flags.
const ownerMeta = "envharness-registration"

var errHidden = discovery.Mark(discovery.ErrDenied, errors.New("the token may not read the service, or its nodes"))

var errNotSynced = errors.New("the agent has not brought it into the catalogue")

// catalogEntry is an instance as the catalogue shows it: a service at the agent, with a TTL check. The agent brings both
// into the catalogue by itself, a moment later.
type catalogEntry struct {
	backend    *backend
	owner      uint64
	check      string // ID of the TTL check
	registered *api.AgentServiceRegistration
	token      discovery.Secret // that it was registered with
}

// ownerOf gives whose a service is; 0: of one that is not ours by any means.
func ownerOf(meta map[string]string) uint64 {
	owner, _ := strconv.ParseUint(meta[ownerMeta], 10, 64)
	return owner
}

// find gives the agent's service with an ID, nil when there is none.
func find(ctx context.Context, client *agent.Client, id string) (*api.AgentService, error) {
	service, _, err := client.Agent().Service(id, agent.Strong(ctx))
	if agent.IsStatus(err, http.StatusNotFound, "unknown service") {
		return nil, nil
	}
	return service, err
}

// register registers the service at the agent, unless the agent has it already, and gives its check this status.
func (e *catalogEntry) register(ctx context.Context, client *agent.Client, wanted *api.AgentServiceRegistration, status string) error {
	known, err := e.isRegistered(ctx, client, wanted)
	if err != nil {
		return err
	}
	if !known {
		options := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
		token, _ := e.backend.Token() // without one the next line fails
		if err := client.Agent().ServiceRegisterOpts(wanted, options); err != nil {
			return err
		}
		e.registered, e.token = wanted, token
	}
	return e.heartbeat(ctx, client, status) // a check that was there before has kept its status
}

// isRegistered reports whether the agent has just this service.
func (e *catalogEntry) isRegistered(ctx context.Context, client *agent.Client, wanted *api.AgentServiceRegistration) (bool, error) {
	if !reflect.DeepEqual(e.registered, wanted) || e.outdated() {
		return false, nil
	}
	has, err := find(ctx, client, wanted.ID)
	return has != nil && ownerOf(has.Meta) == e.owner, err
}

// outdated reports whether the token is another by now. The agent goes on with the one that it was given,
// also to bring a death into the catalogue, for as long as that one is good.
func (e *catalogEntry) outdated() bool {
	token, err := e.backend.Token()
	return err == nil && token != e.token
}

// heartbeat renews the TTL of the check. ErrLost when the agent does not know it.
func (e *catalogEntry) heartbeat(ctx context.Context, client *agent.Client, status string) error {
	err := client.Agent().UpdateTTLOpts(e.check, "", status, agent.Strong(ctx))
	if agent.IsStatus(err, http.StatusNotFound, "does not have associated TTL") || agent.IsStatus(err, http.StatusNotFound, "Unknown check") {
		return driver.ErrLost
	}
	return err
}

// deregister removes the service, if it is ours.
func (e *catalogEntry) deregister(ctx context.Context, client *agent.Client) error {
	if e.registered == nil {
		return nil
	}
	has, err := find(ctx, client, e.registered.ID)
	if err != nil || has == nil || ownerOf(has.Meta) != e.owner {
		return err
	}
	err = client.Agent().ServiceDeregisterOpts(e.registered.ID, agent.Strong(ctx))
	if agent.IsStatus(err, http.StatusNotFound, "Unknown service") {
		return nil
	}
	return err
}

// service is what all layouts have of an instance in the catalogue.
func (e *catalogEntry) service(id, name string, in discovery.Instance) *api.AgentServiceRegistration {
	override, _ := flag(e.backend.config, optionOverride) // it was validated
	return &api.AgentServiceRegistration{
		ID:                id,
		Name:              name,
		Tags:              slices.Clone(in.Tags),
		Address:           in.Host,
		Port:              firstPort(in),
		Meta:              map[string]string{ownerMeta: strconv.FormatUint(e.owner, 10)},
		EnableTagOverride: override,
	}
}

// ttlCheck is the check that dies with its process.
func (e *catalogEntry) ttlCheck(ttl, name, notes, status string) *api.AgentServiceCheck {
	check := &api.AgentServiceCheck{CheckID: e.check, Name: name, Notes: notes, TTL: ttl, Status: status}
	if after, _ := deregisterAfter(e.backend.config); after > 0 {
		check.DeregisterCriticalServiceAfter = after.String()
	}
	return check
}

// firstPort is that of the first name; 0 without any.
func firstPort(in discovery.Instance) int {
	for _, name := range slices.Sorted(maps.Keys(in.Ports)) {
		return in.Ports[name].Number
	}
	return 0
}

// settled waits until the catalogue is as the agent has it, which done judges by our own entries of the service. Others
// are left to Consul: a service of a thousand would be read a thousand times.
func (e *catalogEntry) settled(ctx context.Context, client *agent.Client, name string, done func([]*api.ServiceEntry) bool) error {
	q := agent.Strong(ctx)
	q.WaitTime = 2 * time.Second
	q.Filter = fmt.Sprintf(`Service.Meta[%q] == "%d"`, ownerMeta, e.owner)
	rest := soon
	for {
		entries, meta, err := client.Health().Service(name, "", false, q)
		if err == nil && len(entries) == 0 && meta.ResultsFilteredByACLs {
			err = errHidden
		}
		if err != nil || done(entries) {
			return err
		}
		q.WaitIndex = nextIndex(q.WaitIndex, meta.LastIndex)
		if rest.Wait(ctx) != nil {
			return discovery.Mark(discovery.ErrUnavailable, errNotSynced)
		}
	}
}
