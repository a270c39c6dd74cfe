package etcd

import (
	"context"
	"math"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// MayWrite asks for a write on a condition that never holds: etcd looks at the rights for it all the same.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	_, err := call(ctx, b, func(ctx context.Context, client *clientv3.Client) (any, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", int64(math.MaxInt64))).
			Then(clientv3.OpPut(key, "")).
			Commit()
	})
	return err
}
