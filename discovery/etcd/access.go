package etcd

import (
	"context"
	"math"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
)

// MayWrite asks for a write on a condition that never holds: etcd looks at the rights for it all the same.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	return cluster.Do(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", int64(math.MaxInt64))).
			Then(clientv3.OpPut(key, "")).
			Commit()
		return err
	})
}
