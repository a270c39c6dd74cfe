package etcd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/envharness/envharness/discovery/driver"
)

// subscription reads a key, or all keys with that prefix, and follows them from the next revision.
type subscription struct {
	registry *registry
	op, name string
	key      string
	options  []clientv3.OpOption

	changes clientv3.WatchChan
	cancel  context.CancelFunc
	since   time.Time
	broken  <-chan struct{} // closed when the registry cannot be asked
}

// loginKey is the metadata that gives the watches of one login a stream of their own: etcd looks at the token
// that their stream began with. Nobody reads it.
const loginKey = "envharness-login"

// life is the context of a watch.
func (r *registry) life() (context.Context, context.CancelFunc) {
	ctx := clientv3.WithRequireLeader(context.Background())
	ctx = metadata.AppendToOutgoingContext(ctx, loginKey, strconv.Itoa(r.connection.login.number()))
	return context.WithCancel(ctx)
}

// read begins anew.
func (s *subscription) read(ctx context.Context) (*clientv3.GetResponse, error) {
	s.Close()
	r := s.registry
	broken := r.pulse.broken()
	return call(ctx, r, s.op, s.name, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		response, err := client.Get(ctx, s.key, r.reading(s.options...)...)
		if err != nil {
			return nil, err
		}
		from := append(slices.Clone(s.options), clientv3.WithRev(response.Header.Revision+1))
		life, cancel := r.life()
		stop := context.AfterFunc(ctx, cancel) // Watch blocks while there is no connection
		s.changes, s.cancel, s.broken = client.Watch(life, s.key, from...), cancel, broken
		s.since = time.Now()
		if !stop() {
			s.Close()
			return nil, ctx.Err()
		}
		return response, nil
	})
}

// next waits for changes.
func (s *subscription) next(ctx context.Context) (clientv3.WatchResponse, error) {
	select {
	case response, ok := <-s.changes:
		return response, s.judge(response, ok)
	case <-s.broken:
		return clientv3.WatchResponse{}, s.registry.fail(s.op, s.name, s.registry.pulse.failure())
	case <-ctx.Done():
		return clientv3.WatchResponse{}, ctx.Err()
	}
}

// more gives changes that have come meanwhile, without waiting.
func (s *subscription) more() (response clientv3.WatchResponse, some bool, err error) {
	select {
	case response, ok := <-s.changes:
		return response, true, s.judge(response, ok)
	default:
		return response, false, nil
	}
}

// judge is the error that a response stands for.
func (s *subscription) judge(response clientv3.WatchResponse, ok bool) error {
	if !ok {
		return driver.ErrGap // its client was replaced, or closed: then the read that follows says so
	}
	switch err := response.Err(); {
	case errors.Is(err, rpctypes.ErrCompacted):
		return driver.ErrGap
	case codeOf(err) == codes.Aborted && time.Since(s.since) > time.Second:
		return driver.ErrGap // its connection broke: no outage until a read fails, too
	case err != nil:
		return s.registry.fail(s.op, s.name, s.registry.explain(err, 0))
	}
	return nil
}

// Close ends the watch.
func (s *subscription) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	for range s.changes { // it is closed soon; who goes on earlier leaves work behind
	}
	s.cancel = nil
}

// keySource follows one key; decode gets nil when it is not there.
type keySource[T any] struct {
	subscription
	decode func(*mvccpb.KeyValue) T
}

func (s *keySource[T]) Read(ctx context.Context) (T, error) {
	response, err := s.read(ctx)
	if err != nil {
		var none T
		return none, err
	}
	if len(response.Kvs) == 0 {
		return s.decode(nil), nil
	}
	return s.decode(response.Kvs[0]), nil
}

func (s *keySource[T]) Next(ctx context.Context) (T, error) {
	for {
		response, err := s.next(ctx)
		if err != nil {
			var none T
			return none, err
		}
		if len(response.Events) == 0 {
			continue
		}
		last := response.Events[len(response.Events)-1]
		if last.Type == clientv3.EventTypeDelete {
			return s.decode(nil), nil
		}
		return s.decode(last.Kv), nil
	}
}
