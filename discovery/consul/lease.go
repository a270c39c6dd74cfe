package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
)

// minTTL is the least TTL of a registration: it takes three calls to the agent to renew one.
const minTTL = time.Second

// stateCheck is the name of the check that keeps an instance out of the catalogue's answers while it does not
// pass. It is there only then, always critical, and not for us: our state is in the record.
const stateCheck = "state"

// lease is one registration in the native layout: a service with a TTL check, a session that ends with the
// check, and the record that the session holds.
type lease struct {
	backend *backend
	entry   catalogEntry
	whole   string // the whole ID of the service
	id      string // of the service at this agent; "": not chosen yet
	key     string // of the record
	ttl     time.Duration
	session string // "": none
	former  string // the session that had the record before, to be ended
	alone   bool   // the last renewal was at the agent alone
}

func newLease(b *backend, in discovery.Instance, ttl time.Duration) *lease {
	whole := wholeID(b.keys, in.Service, in.ID)
	return &lease{
		backend: b,
		entry:   catalogEntry{backend: b, owner: 1 + rand.Uint64N(1<<63), check: whole + ":alive"},
		whole:   whole,
		ttl:     max(ttl, minTTL),
	}
}

func (l *lease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	grant := driver.Grant{TTL: l.ttl, Every: min(l.ttl, maxSession) / 3}
	return grant, l.do(ctx, record, func(ctx context.Context, client *agent.Client) error {
		if err := l.backend.AtHome(ctx, client); err != nil {
			return err
		}
		if !takeOver {
			if err := l.check(ctx, client); err != nil && !errors.Is(err, driver.ErrLost) {
				return err
			}
		}
		l.id = "" // meanwhile another may have it
		if err := l.show(ctx, client, record.Instance); err != nil {
			return err
		}
		return l.write(ctx, client, record, takeOver)
	})
}

// Renew renews the check at the agent first, which works without the servers: what they know stands for as long
// as the agent does not tell them otherwise, so that a time without a leader costs nobody the announcement.
func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	return l.do(ctx, record, func(ctx context.Context, client *agent.Client) error {
		if err := l.entry.heartbeat(ctx, client, api.HealthPassing); err != nil {
			return err
		}
		start := time.Now()
		deadline, _ := ctx.Deadline()
		limited, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		err := l.standing(limited, client)
		if err == nil && l.entry.outdated() {
			err = l.show(ctx, client, record.Instance)
		}
		if err != nil && ctx.Err() == nil {
			err = l.backend.Explain(err, time.Since(start))
			if errors.Is(err, discovery.ErrUnavailable) {
				l.warnAlone(err)
				return nil
			}
		}
		l.alone = false
		return err
	})
}

// warnAlone tells once for each outage that the servers give no answer.
func (l *lease) warnAlone(err error) {
	if !l.alone {
		l.backend.config.Log.Warn("renewed at the agent alone, the servers give no answer", "key", l.key, "error", err)
	}
	l.alone = true
}

// standing is ErrLost or ErrConflict unless the record is there and ours; it renews the session.
func (l *lease) standing(ctx context.Context, client *agent.Client) error {
	if err := l.check(ctx, client); err != nil {
		return err
	}
	there, err := renewSession(ctx, client, l.session)
	if err == nil && !there {
		err = driver.ErrLost
	}
	return err
}

func (l *lease) Update(ctx context.Context, record driver.Record) error {
	return l.do(ctx, record, func(ctx context.Context, client *agent.Client) error {
		if err := l.check(ctx, client); err != nil {
			return err
		}
		if err := l.show(ctx, client, record.Instance); err != nil {
			return err
		}
		return l.write(ctx, client, record, false)
	})
}

// Deregister ends the session, and with it the record that it holds, if it is its own; and takes the service
// away, if it is its own.
func (l *lease) Deregister(ctx context.Context) error {
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		return errors.Join(endSession(ctx, client, l.session), l.entry.deregister(ctx, client))
	})
}

// do takes one step. Who learns that another has its ID leaves nothing behind.
func (l *lease) do(ctx context.Context, record driver.Record, step func(context.Context, *agent.Client) error) error {
	l.key = plain(record.Key)
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		err := step(ctx, client)
		if errors.Is(err, discovery.ErrConflict) {
			rest := errors.Join(endSession(ctx, client, l.session), l.entry.deregister(ctx, client))
			if rest != nil {
				l.backend.config.Log.Debug("something of a registration stays until its TTL", "key", l.key, "error", rest)
			}
		}
		return err
	})
}

// check is ErrLost when the record is gone and ErrConflict when it is another's.
func (l *lease) check(ctx context.Context, client *agent.Client) error {
	entry, err := read(client, l.key, agent.Strong(ctx))
	if err != nil {
		return err
	}
	there := isKept(entry)
	return driver.Own(there, there && entry.Flags == l.entry.owner)
}

// show makes the catalogue what the instance says.
func (l *lease) show(ctx context.Context, client *agent.Client, in discovery.Instance) error {
	if l.id == "" {
		if err := l.choose(ctx, client, in); err != nil {
			return err
		}
	}
	service := l.entry.service(l.id, catalogueName(in.Service), in)
	service.Checks = api.AgentServiceChecks{
		l.entry.ttlCheck(l.ttl.String(), "alive", "critical when the process has not renewed it for its TTL", api.HealthPassing),
	}
	if in.State != discovery.Passing {
		service.Checks = append(service.Checks, &api.AgentServiceCheck{
			CheckID: l.whole + ":" + stateCheck,
			Name:    stateCheck,
			Notes:   stateNotes(in),
			TTL:     l.ttl.String(),
			Status:  api.HealthCritical,
		})
	}
	return l.entry.register(ctx, client, service, api.HealthPassing)
}

// stateNotes are for who looks at the check in Consul.
func stateNotes(in discovery.Instance) string {
	notes := fmt.Sprintf("the process says that it is %s", in.State)
	if in.Reason != "" {
		notes += ": " + in.Reason
	}
	return notes
}

// choose chooses the ID of the service: the instance's, unless that is another service's at this agent.
func (l *lease) choose(ctx context.Context, client *agent.Client, in discovery.Instance) error {
	l.id = l.whole
	short := shortID(l.backend.keys, in.ID)
	if short == "" {
		return nil
	}
	// This is asked as a list because the agent logs it as an error when it has no service of an ID.
	services, err := client.Agent().ServicesWithFilterOpts(`ID == "`+short+`"`, agent.Strong(ctx))
	if err != nil {
		l.id = ""
		return err
	}
	there := services[short]
	if there == nil || there.Service == catalogueName(in.Service) && ownerOf(there.Meta) != 0 {
		l.id = short
	}
	return nil
}

// open makes a session, if there is none. That works as soon as the agent has brought the check into the
// catalogue.
func (l *lease) open(ctx context.Context, client *agent.Client) error {
	rest := soon
	for l.session == "" {
		id, _, err := client.Session().Create(newSession(l.key, l.ttl, l.entry.check), agent.Writing(ctx))
		if err == nil {
			l.session = id
			return nil
		}
		if !agent.IsStatus(err, 0, "Missing check") && !agent.IsStatus(err, 0, "Missing node") && !agent.IsStatus(err, 0, "in critical state") {
			return err
		}
		if rest.Wait(ctx) != nil {
			return discovery.Mark(discovery.ErrUnavailable, errNotSynced)
		}
		if err := l.entry.heartbeat(ctx, client, api.HealthPassing); err != nil {
			return err
		}
	}
	return nil
}

// write makes the record what the instance says, held by the session, in place of none or its own; with takeOver
// also of another's.
func (l *lease) write(ctx context.Context, client *agent.Client, record driver.Record, takeOver bool) error {
	err := changing(ctx, func() error {
		if err := l.open(ctx, client); err != nil {
			return err
		}
		entry, err := read(client, l.key, agent.Strong(ctx))
		if err != nil {
			return err
		}
		if isKept(entry) && entry.Flags != l.entry.owner && !takeOver {
			return discovery.ErrConflict
		}
		operations, err := l.replace(entry, record)
		if err != nil {
			return err
		}
		if isKept(entry) && entry.Session != l.session {
			l.former = entry.Session
		}
		err = write(ctx, client, operations...)
		if errors.Is(err, errNoSession) {
			l.session = ""
			return discovery.Mark(errChanged, err)
		}
		return err
	})
	if err != nil || l.former == "" {
		return err
	}
	// The check that our session ends with may be the former one's, too, which would then never end.
	if err = endFormerSession(ctx, client, l.former, l.key); err == nil {
		l.former = ""
	}
	return err
}

// replace gives the operations that make entry, nil for none, the instance's record.
func (l *lease) replace(entry *api.KVPair, record driver.Record) (api.KVTxnOps, error) {
	value := record.Value
	if entry != nil && entry.Flags == l.entry.owner {
		var err error
		if value, err = record.Over(entry.Value); err != nil {
			return nil, err
		}
	}
	lock := &api.KVTxnOp{Verb: api.KVLock, Key: l.key, Value: value, Flags: l.entry.owner, Session: l.session}
	if entry == nil {
		return api.KVTxnOps{{Verb: api.KVCheckNotExists, Key: l.key}, lock}, nil
	}
	operations := api.KVTxnOps{{Verb: api.KVCheckIndex, Key: l.key, Index: entry.ModifyIndex}}
	if isKept(entry) && entry.Session != l.session {
		operations = append(operations, &api.KVTxnOp{Verb: api.KVUnlock, Key: l.key, Session: entry.Session})
	}
	return append(operations, lock), nil
}
