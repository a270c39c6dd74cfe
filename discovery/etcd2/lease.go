package etcd2

import (
	"context"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// The times of the layout scalingo.
const (
	scalingoTTL   = 5 * time.Second
	scalingoEvery = 4 * time.Second
)

// lease is one registration: its record and, in some layouts, its part in another.
type lease struct {
	registry *registry
	keeper   keeper
	beside   companion // nil: there is none
	grant    driver.Grant

	announced bool   // the record is there; it is not, in some layouts, while the instance does not pass
	key       string // of the record, which stays what it is
	instance  discovery.Instance
}

// keeper keeps one record in the way that the readers of its layout expect. Its methods are called one at a
// time, and again after an error; what they did then may have been carried out. Errors are those of
// driver.Lease.
type keeper interface {
	announce(ctx context.Context, keys client.KeysAPI, key, value string, takeOver bool) error
	renew(ctx context.Context, keys client.KeysAPI, key, value string) error
	update(ctx context.Context, keys client.KeysAPI, key string, rewrite func(was string) (string, error)) error
	withdraw(ctx context.Context, keys client.KeysAPI, key string) error
}

// companion is a registration's part in a record that others have a part in, too.
type companion interface {
	// join makes the part what the instance says; first, when the registration is new.
	join(ctx context.Context, keys client.KeysAPI, in discovery.Instance, first bool) error
	renew(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error
	leave(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error
}

// newLease gives how the layout keeps an instance, and where the instance shares its credentials, if it
// does.
func (r *registry) newLease(in discovery.Instance, ttl time.Duration, share bool) (*lease, driver.CredentialStore, error) {
	l := &lease{registry: r}
	var shared driver.CredentialStore
	if share {
		shared = credentials{r}
	}
	if ttl == 0 {
		ttl = discovery.DefaultTTL
		if r.config.Layout == "scalingo" {
			ttl = scalingoTTL
		}
	}
	l.grant.TTL = seconds(ttl)
	switch keys := r.layout.(type) {
	case layout.Scalingo:
		l.grant.TTL = max(l.grant.TTL, scalingoTTL)
		l.grant.Every = max(l.grant.TTL/3, scalingoEvery)
		l.keeper = &rewritten{ttl: l.grant.TTL}
		service := &publicService{registry: r, layout: keys, instance: in}
		l.beside, shared = service, nil
		if in.Public {
			shared = service
		} else if share {
			return nil, nil, invalid("in the layout scalingo only public instances share credentials: register it as public")
		}
	case layout.Totem:
		l.keeper = &file{ttl: l.grant.TTL, plain: true}
		l.beside = &container{layout: keys, ttl: l.grant.TTL}
	case layout.ContainerPilot:
		l.keeper = &directory{ttl: l.grant.TTL}
	default:
		l.keeper = &file{ttl: l.grant.TTL}
	}
	return l, shared, nil
}

// do takes one step for an instance whose record is key and value, with present false when there should be
// none.
func (l *lease) do(ctx context.Context, op string, in discovery.Instance, step func(ctx context.Context, keys client.KeysAPI, value string, present bool) error) error {
	records, err := l.registry.layout.Encode(in)
	if err == nil && len(records) > 0 && l.key != "" && l.key != records[0].Key {
		err = invalid("the key of a registration cannot change")
	}
	if err != nil {
		return l.registry.fail(op, in.Service, err)
	}
	value := ""
	l.instance = in
	if len(records) > 0 {
		l.key, value = records[0].Key, string(records[0].Value)
	}
	_, err = call(ctx, l.registry, op, in.Service, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		return nil, step(ctx, keys, value, len(records) > 0)
	})
	return err
}

func (l *lease) Announce(ctx context.Context, in discovery.Instance, takeOver bool) (driver.Grant, error) {
	return l.grant, l.do(ctx, "register", in, func(ctx context.Context, keys client.KeysAPI, value string, present bool) error {
		if !present {
			return nil
		}
		return l.announce(ctx, keys, in, value, takeOver)
	})
}

func (l *lease) announce(ctx context.Context, keys client.KeysAPI, in discovery.Instance, value string, takeOver bool) error {
	if l.beside != nil {
		if err := l.beside.join(ctx, keys, in, takeOver); err != nil {
			return err
		}
	}
	err := l.keeper.announce(ctx, keys, l.key, value, takeOver)
	l.announced = err == nil
	return err
}

func (l *lease) Renew(ctx context.Context, in discovery.Instance) error {
	return l.do(ctx, "renew", in, func(ctx context.Context, keys client.KeysAPI, value string, present bool) error {
		if !present {
			return nil
		}
		if err := l.keeper.renew(ctx, keys, l.key, value); err != nil || l.beside == nil {
			return err
		}
		return l.beside.renew(ctx, keys, in)
	})
}

func (l *lease) Update(ctx context.Context, in discovery.Instance) error {
	return l.do(ctx, "update", in, func(ctx context.Context, keys client.KeysAPI, value string, present bool) error {
		switch {
		case !present:
			return l.withdraw(ctx, keys)
		case !l.announced:
			return l.announce(ctx, keys, in, value, false)
		}
		err := l.keeper.update(ctx, keys, l.key, func(was string) (string, error) {
			return l.keepUnknown(in, was, value)
		})
		if err != nil || l.beside == nil {
			return err
		}
		return l.beside.join(ctx, keys, in, false)
	})
}

// keepUnknown gives the value for an instance whose record was another.
func (l *lease) keepUnknown(in discovery.Instance, was, value string) (string, error) {
	before, err := l.registry.layout.Decode(l.key, []byte(was))
	if err != nil || len(before.Unknown) == 0 {
		return value, nil
	}
	records, err := l.registry.layout.Encode(in.KeepUnknown(before))
	if err != nil {
		return "", err
	}
	return string(records[0].Value), nil
}

func (l *lease) withdraw(ctx context.Context, keys client.KeysAPI) error {
	if l.key == "" {
		return nil // nothing was ever to be written
	}
	if err := l.keeper.withdraw(ctx, keys, l.key); err != nil {
		return err
	}
	if l.announced = false; l.beside == nil {
		return nil
	}
	return l.beside.leave(ctx, keys, l.instance)
}

func (l *lease) Withdraw(ctx context.Context) error {
	_, err := call(ctx, l.registry, "withdraw", "", func(ctx context.Context, keys client.KeysAPI) (any, error) {
		return nil, l.withdraw(ctx, keys)
	})
	return err
}
