package consul

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// ownerMeta is the key of a service's Meta that says whose the service is: a number that each registration has
// anew. With the record in the KV store stands the same, as its flags.
const ownerMeta = "envharness-registration"

var errHidden = discovery.Mark(discovery.ErrDenied, errors.New("the token may not read the service, or its nodes"))

var errNotSynced = errors.New("the agent has not brought it into the catalogue")

// face is an instance as the catalogue shows it: a service at the agent, with a TTL check. The agent brings both
// into the catalogue by itself, a moment later.
type face struct {
	backend *backend
	owner   uint64
	check   string // ID of the TTL check
	told    *api.AgentServiceRegistration
	token   discovery.Secret // that it was told with
}

// ownerOf gives whose a service is; 0: of one that is not ours by any means.
func ownerOf(meta map[string]string) uint64 {
	owner, _ := strconv.ParseUint(meta[ownerMeta], 10, 64)
	return owner
}

// find gives the agent's service with an ID, nil when there is none.
func find(ctx context.Context, client *client, id string) (*api.AgentService, error) {
	service, _, err := client.Agent().Service(id, strong(ctx))
	if isStatus(err, http.StatusNotFound, "unknown service") {
		return nil, nil
	}
	return service, err
}

// show tells the agent of the service, unless it has it already, and that the check has this status.
func (f *face) show(ctx context.Context, client *client, wanted *api.AgentServiceRegistration, status string) error {
	known, err := f.knows(ctx, client, wanted)
	if err != nil {
		return err
	}
	if !known {
		options := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
		token, _ := f.backend.settings.token() // without one the next line fails
		if err := client.Agent().ServiceRegisterOpts(wanted, options); err != nil {
			return err
		}
		f.told, f.token = wanted, token
	}
	return f.beat(ctx, client, status) // a check that was there before has kept its status
}

// knows reports whether the agent has just this service.
func (f *face) knows(ctx context.Context, client *client, wanted *api.AgentServiceRegistration) (bool, error) {
	if !reflect.DeepEqual(f.told, wanted) || f.outdated() {
		return false, nil
	}
	has, err := find(ctx, client, wanted.ID)
	return has != nil && ownerOf(has.Meta) == f.owner, err
}

// outdated reports whether the token is another by now. The agent goes on with the one that it was told with,
// also to bring a death into the catalogue, for as long as that one is good.
func (f *face) outdated() bool {
	token, err := f.backend.settings.token()
	return err == nil && token != f.token
}

// beat renews the TTL of the check. ErrLost when the agent does not know it.
func (f *face) beat(ctx context.Context, client *client, status string) error {
	err := client.Agent().UpdateTTLOpts(f.check, "", status, strong(ctx))
	if isStatus(err, http.StatusNotFound, "does not have associated TTL") || isStatus(err, http.StatusNotFound, "Unknown check") {
		return driver.ErrLost
	}
	return err
}

// hide takes the service away, if it is ours.
func (f *face) hide(ctx context.Context, client *client) error {
	if f.told == nil {
		return nil
	}
	has, err := find(ctx, client, f.told.ID)
	if err != nil || has == nil || ownerOf(has.Meta) != f.owner {
		return err
	}
	err = client.Agent().ServiceDeregisterOpts(f.told.ID, strong(ctx))
	if isStatus(err, http.StatusNotFound, "Unknown service") {
		return nil
	}
	return err
}

// service is what all layouts have of an instance in the catalogue.
func (f *face) service(id, name string, in discovery.Instance) *api.AgentServiceRegistration {
	override, _ := flag(f.backend.config, optionOverride) // it was validated
	return &api.AgentServiceRegistration{
		ID:                id,
		Name:              name,
		Tags:              slices.Clone(in.Tags),
		Address:           in.Host,
		Port:              firstPort(in),
		Meta:              map[string]string{ownerMeta: strconv.FormatUint(f.owner, 10)},
		EnableTagOverride: override,
	}
}

// ttlCheck is the check that dies with its process.
func (f *face) ttlCheck(ttl, name, notes, status string) *api.AgentServiceCheck {
	check := &api.AgentServiceCheck{CheckID: f.check, Name: name, Notes: notes, TTL: ttl, Status: status}
	if after, _ := deregisterAfter(f.backend.config); after > 0 {
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

// settled waits until the catalogue is as the agent was told, which done judges by the service's entries.
func (f *face) settled(ctx context.Context, client *client, name string, done func([]*api.ServiceEntry) bool) error {
	q := strong(ctx)
	q.WaitTime = 2 * time.Second
	var rest pause
	for {
		entries, meta, err := client.Health().Service(name, "", false, q)
		if err == nil && len(entries) == 0 && meta.ResultsFilteredByACLs {
			err = errHidden
		}
		if err != nil || done(entries) {
			return err
		}
		q.WaitIndex = nextIndex(q.WaitIndex, meta.LastIndex)
		if rest.wait(ctx) != nil {
			return discovery.Mark(discovery.ErrUnavailable, errNotSynced)
		}
	}
}
