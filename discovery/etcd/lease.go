package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// lease is one registration: its record stands on an etcd lease that the client keeps alive.
type lease struct {
	registry *registry
	ttl      time.Duration

	id      clientv3.LeaseID // 0: none
	granted time.Duration
	beats   <-chan *clientv3.LeaseKeepAliveResponse // closed when the lease is lost
	end     context.CancelFunc                      // of beats
	former  []clientv3.LeaseID                      // lost ones, on which the record may still stand
}

func (l *lease) Announce(ctx context.Context, in discovery.Instance, takeOver bool) (driver.Grant, error) {
	records, err := l.registry.layout.Encode(in)
	if err != nil {
		return driver.Grant{}, l.registry.fail("register", in.Service, err)
	}
	key, value := records[0].Key, string(records[0].Value)
	return call(ctx, l.registry, "register", in.Service, func(ctx context.Context, client *clientv3.Client) (driver.Grant, error) {
		if err := l.grant(ctx, client); err != nil {
			return driver.Grant{}, err
		}
		write := clientv3.OpPut(key, value, clientv3.WithLease(l.id))
		var err error
		if takeOver {
			_, err = client.Do(ctx, write)
		} else {
			err = l.putOwn(ctx, client, key, write)
		}
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			l.drop()
		}
		return driver.Grant{TTL: l.granted}, err
	})
}

// grant makes a lease if there is none, and keeps it alive.
func (l *lease) grant(ctx context.Context, client *clientv3.Client) error {
	if l.id != 0 {
		return nil
	}
	response, err := client.Grant(ctx, seconds(l.ttl))
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background())
	beats, err := client.KeepAlive(life, response.ID)
	if err != nil {
		end()
		return err
	}
	l.id, l.granted, l.beats, l.end = response.ID, time.Duration(response.TTL)*time.Second, beats, end
	return nil
}

// drop forgets a lost lease.
func (l *lease) drop() {
	if l.id == 0 {
		return
	}
	l.end()
	l.former = append(l.former, l.id)
	l.id = 0
}

// owns reports whether a record is this registration's.
func (l *lease) owns(kv *mvccpb.KeyValue) bool {
	return clientv3.LeaseID(kv.Lease) == l.id || slices.Contains(l.former, clientv3.LeaseID(kv.Lease))
}

// putOwn writes if there is no record or its own.
func (l *lease) putOwn(ctx context.Context, client *clientv3.Client, key string, write clientv3.Op) error {
	var seen int64 // the record's revision; 0: there is none
	for {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
			Then(write).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil || response.Succeeded {
			return err
		}
		seen = 0
		if kvs := response.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			if !l.owns(kvs[0]) {
				return discovery.ErrConflict
			}
			seen = kvs[0].ModRevision
		}
	}
}

// Renew looks after the record; the lease is kept alive by the client.
func (l *lease) Renew(ctx context.Context, in discovery.Instance) error {
	if l.lost() {
		l.drop()
		return driver.ErrLost
	}
	return l.check(ctx, in)
}

// lost reports whether the client could not keep the lease alive.
func (l *lease) lost() bool {
	for {
		select {
		case _, ok := <-l.beats:
			if !ok {
				return true
			}
		default:
			return false
		}
	}
}

// check is ErrLost when the record is gone and ErrConflict when it is another's.
func (l *lease) check(ctx context.Context, in discovery.Instance) error {
	_, err := l.ask(ctx, in, "renew", func(ctx context.Context, client *clientv3.Client, key string) ([]*mvccpb.KeyValue, error) {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(key), "=", l.id)).
			Else(clientv3.OpGet(key)).
			Commit()
		switch {
		case err != nil:
			return nil, err
		case response.Succeeded:
			return []*mvccpb.KeyValue{{Lease: int64(l.id)}}, nil
		}
		return response.Responses[0].GetResponseRange().Kvs, nil
	})
	return err
}

// read gives the record; errors are those of check.
func (l *lease) read(ctx context.Context, in discovery.Instance) (*mvccpb.KeyValue, error) {
	return l.ask(ctx, in, "update", func(ctx context.Context, client *clientv3.Client, key string) ([]*mvccpb.KeyValue, error) {
		response, err := client.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		return response.Kvs, nil
	})
}

// ask looks at the record by get and judges it.
func (l *lease) ask(ctx context.Context, in discovery.Instance, op string, get func(context.Context, *clientv3.Client, string) ([]*mvccpb.KeyValue, error)) (*mvccpb.KeyValue, error) {
	records, err := l.registry.layout.Encode(in)
	if err != nil {
		return nil, l.registry.fail(op, in.Service, err)
	}
	return call(ctx, l.registry, op, in.Service, func(ctx context.Context, client *clientv3.Client) (*mvccpb.KeyValue, error) {
		kvs, err := get(ctx, client, records[0].Key)
		switch {
		case err != nil:
			return nil, err
		case len(kvs) == 0:
			return nil, driver.ErrLost
		case !l.owns(kvs[0]):
			return nil, discovery.ErrConflict
		}
		return kvs[0], nil
	})
}

func (l *lease) Update(ctx context.Context, in discovery.Instance) error {
	for written := false; !written; {
		was, err := l.read(ctx, in)
		if err != nil {
			return err
		}
		if written, err = l.rewrite(ctx, in, was); err != nil {
			return err
		}
	}
	return nil
}

// rewrite replaces the record, unless somebody wrote since it was read.
func (l *lease) rewrite(ctx context.Context, in discovery.Instance, was *mvccpb.KeyValue) (bool, error) {
	var before discovery.Instance
	if json.Unmarshal(was.Value, &before) == nil {
		in = in.KeepUnknown(before)
	}
	records, err := l.registry.layout.Encode(in)
	if err != nil {
		return false, l.registry.fail("update", in.Service, err)
	}
	key, value := records[0].Key, string(records[0].Value)
	return call(ctx, l.registry, "update", in.Service, func(ctx context.Context, client *clientv3.Client) (bool, error) {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", was.ModRevision)).
			Then(clientv3.OpPut(key, value, clientv3.WithLease(l.id))).
			Commit()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			l.drop()
			return false, driver.ErrLost
		}
		return err == nil && response.Succeeded, err
	})
}

// Leave stops keeping the lease alive.
func (l *lease) Leave() {
	if l.id != 0 {
		l.end()
	}
}

// Withdraw ends the lease, and with it the record if it is still on it.
func (l *lease) Withdraw(ctx context.Context) error {
	if l.id == 0 {
		return nil
	}
	defer l.end()
	_, err := call(ctx, l.registry, "withdraw", "", func(ctx context.Context, client *clientv3.Client) (any, error) {
		_, err := client.Revoke(ctx, l.id)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil, nil
		}
		return nil, err
	})
	return err
}

// seconds is a TTL as etcd takes it: whole seconds, never less than asked.
func seconds(ttl time.Duration) int64 {
	return int64((ttl + time.Second - 1) / time.Second)
}
