package registryd

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/registryd/node"
)

// readsAtOnce is how many answers of etcd may be on their way: each can be of many megabytes.
const readsAtOnce = 4

// store asks etcd on behalf of a caller, whom the context names.
type store struct {
	node   node.Node
	client *clientv3.Client
	keys   layout.Layout
	logins *logins
	log    *slog.Logger

	answerTime time.Duration // of etcd, for one call

	reads    chan struct{}
	shortest atomic.Int64 // the TTL in seconds that etcd raises shorter ones to, once that is known
}

func newStore(n node.Node, keys layout.Layout, logins *logins, answerTime time.Duration, log *slog.Logger) *store {
	return &store{node: n, client: n.Client(), keys: keys, logins: logins, answerTime: answerTime, log: layout.Quiet(log), reads: make(chan struct{}, readsAtOnce)}
}

// call lets ask talk to etcd as the caller, for a bounded time.
func call[T any](ctx context.Context, s *store, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.answerTime)
	defer cancel()
	return asCaller(ctx, s, ask)
}

// asCaller is call without a limit of time. A token that ran out meanwhile is replaced once.
func asCaller[T any](ctx context.Context, s *store, ask func(context.Context) (T, error)) (T, error) {
	return askWithToken(ctx, s, func(ctx context.Context, token string) (T, error) { return ask(withToken(ctx, token)) })
}

func askWithToken[T any](ctx context.Context, s *store, ask func(ctx context.Context, token string) (T, error)) (T, error) {
	who := callerOf(ctx)
	for again := true; ; again = false {
		token, err := s.logins.token(ctx, who)
		if err != nil {
			var none T
			return none, err
		}
		answer, err := ask(ctx, token)
		if again && node.IsTokenOver(err) && s.logins.forget(who, token) {
			continue
		}
		return answer, err
	}
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// getOne reads one key.
func (s *store) getOne(ctx context.Context, key string) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.answerTime)
	defer cancel()
	return askWithToken(ctx, s, func(ctx context.Context, token string) (*clientv3.GetResponse, error) {
		return s.node.Get(ctx, token, key)
	})
}

// get reads a key or a range, in turn with others.
func (s *store) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return inTurn(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, key, options...)
	})
}

// inTurn is call for what may be large.
func inTurn[T any](ctx context.Context, s *store, ask func(context.Context) (T, error)) (T, error) {
	return call(ctx, s, func(ctx context.Context) (T, error) {
		select {
		case s.reads <- struct{}{}:
			defer func() { <-s.reads }()
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		return ask(ctx)
	})
}
