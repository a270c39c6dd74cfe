package etcd2

import (
	"context"
	"math"

	"go.etcd.io/etcd/client/v2"
)

// MayWrite asks for a write on a condition that never holds: etcd looks at the rights for it all the same.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	return do(ctx, b, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, key, "", &client.SetOptions{PrevIndex: math.MaxInt64})
		if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
			return nil
		}
		return err
	})
}
