package etcd

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
)

// backend is one opening of a cluster: the single steps that package driver takes.
type backend struct {
	*cluster.Client
	config   discovery.Config
	registry *driver.Registry
	leases   *driver.LeasePool[*session]
	nowhere  string // a key that nothing stands at
}

// reading adds to a read's options what the URL says of reads.
func (b *backend) reading(options ...clientv3.OpOption) []clientv3.OpOption {
	if b.config.Stale {
		options = append(options, clientv3.WithSerializable())
	}
	return options
}

// Ping asks for one key, as a read would.
func (b *backend) Ping(ctx context.Context) error {
	_, err := b.get(ctx, b.nowhere, b.reading(clientv3.WithKeysOnly()))
	return err
}

func (b *backend) get(ctx context.Context, key string, options []clientv3.OpOption) (*clientv3.GetResponse, error) {
	return cluster.Call(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		return client.Get(ctx, key, options...)
	})
}

func (b *backend) Get(ctx context.Context, key string, latest bool) (driver.Item, error) {
	options := b.reading()
	if latest {
		options = nil
	}
	response, err := b.get(ctx, key, options)
	if err != nil {
		return driver.Item{}, err
	}
	return itemAt(key, response.Kvs), nil
}

// itemAt gives what was read of one key.
func itemAt(key string, kvs []*mvccpb.KeyValue) driver.Item {
	if len(kvs) == 0 {
		return driver.Item{Key: key, Gone: true}
	}
	return itemOf(key, kvs[0])
}

// itemOf takes an item's version from all numbers of its key. The revisions alone do not identify what stands there,
// when etcd has lost its data.
func itemOf(key string, kv *mvccpb.KeyValue) driver.Item {
	return driver.Item{
		Key:     key,
		Value:   kv.Value,
		Version: driver.Version{kv.ModRevision, kv.CreateRevision, kv.Version, kv.Lease},
	}
}

// modified is the revision of an item's last change; 0 when there is none.
func modified(item driver.Item) int64 { return item.Version[0] }

// leaseOf is the lease that an item stands on.
func leaseOf(item driver.Item) clientv3.LeaseID { return clientv3.LeaseID(item.Version[3]) }

func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	response, err := b.get(ctx, prefix, b.reading(clientv3.WithPrefix()))
	if err != nil {
		return driver.Changes{}, err
	}
	return wholeOf(response), nil
}

func wholeOf(response *clientv3.GetResponse) driver.Changes {
	items := make([]driver.Item, len(response.Kvs))
	keys := keysOf(response.Kvs)
	for i, kv := range response.Kvs {
		items[i] = itemOf(keys[:len(kv.Key)], kv)
		keys = keys[len(kv.Key):]
	}
	return driver.Changes{Items: items, Whole: true, Revision: revision(response.Header.Revision)}
}

// keysOf gives all keys, one behind the other: many small strings would cost as much as reading the records.
func keysOf(kvs []*mvccpb.KeyValue) string {
	length := 0
	for _, kv := range kvs {
		length += len(kv.Key)
	}
	var keys strings.Builder
	keys.Grow(length)
	for _, kv := range kvs {
		keys.Write(kv.Key)
	}
	return keys.String()
}

// revision is etcd's count of changes as a snapshot shows it.
func revision(n int64) string { return strconv.FormatInt(n, 10) }

func (b *backend) Keys(ctx context.Context, prefix string) ([]string, error) {
	response, err := b.get(ctx, prefix, b.reading(clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(response.Kvs))
	for i, kv := range response.Kvs {
		keys[i] = string(kv.Key)
	}
	return keys, nil
}

func (b *backend) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return cluster.Do(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) error {
		if ttl > 0 {
			return putLeased(ctx, client, key, value, ttl)
		}
		_, err := client.Put(ctx, key, string(value))
		return err
	})
}

// putLeased writes a value on a lease of its own. A value that is written again and again leaves no lease behind:
// neither the one of a write that failed, nor the one before.
func putLeased(ctx context.Context, client *clientv3.Client, key string, value []byte, ttl time.Duration) error {
	lease, err := client.Grant(ctx, seconds(ttl))
	if err != nil {
		return err
	}
	before, _ := client.Get(ctx, key) // who may write need not be allowed to read
	if _, err := client.Put(ctx, key, string(value), clientv3.WithLease(lease.ID)); err != nil {
		revokeUnused(ctx, client, lease.ID)
		return err
	}
	if before != nil && len(before.Kvs) == 1 && before.Kvs[0].Lease != 0 {
		revokeUnused(ctx, client, clientv3.LeaseID(before.Kvs[0].Lease))
	}
	return nil
}

// revokeUnused ends a lease that no key is on. One that cannot be ended ends with its TTL.
func revokeUnused(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if lease, err := client.TimeToLive(ctx, id, clientv3.WithAttachedKeys()); err == nil && len(lease.Keys) == 0 {
		_, _ = client.Revoke(ctx, id)
	}
}

func (b *backend) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	return cluster.Call(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) (bool, error) {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(was.Key), "=", modified(was))).
			Then(clientv3.OpPut(was.Key, string(value))).
			Commit()
		return err == nil && response.Succeeded, err
	})
}

func (b *backend) Delete(ctx context.Context, key string) (found bool, err error) {
	return cluster.Call(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) (bool, error) {
		response, err := client.Delete(ctx, key)
		return err == nil && response.Deleted > 0, err
	})
}

// seconds is a TTL as etcd takes it: whole seconds, never less than asked.
func seconds(ttl time.Duration) int64 {
	return int64((ttl + time.Second - 1) / time.Second)
}
