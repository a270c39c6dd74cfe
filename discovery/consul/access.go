package consul

import (
	"context"
	"errors"
	"math"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery/consul/internal/agent"
)

// MayWrite asks for a write on a condition that never holds: Consul looks at the rights for it all the same.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	return agent.Do(ctx, b.Agent, func(ctx context.Context, client *agent.Client) error {
		err := write(ctx, client, &api.KVTxnOp{Verb: api.KVCAS, Key: plain(key), Index: math.MaxInt64})
		if errors.Is(err, errChanged) {
			return nil
		}
		return err
	})
}
