package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/envharness/envharness/discovery"
)

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail("lead for", name, err)
	}
	var backoff discovery.Backoff
	for {
		leader, err := r.campaign(ctx, key, name, ttl)
		if err == nil {
			return leader, nil
		}
		if !errors.Is(err, discovery.ErrUnavailable) || backoff.Wait(ctx) != nil {
			return nil, err
		}
		r.config.Log.Warn("cannot stand for election, trying again", "name", name, "error", err)
	}
}

// campaign tries once: it waits for its turn, for as long as the registry can be asked.
func (r *registry) campaign(ctx context.Context, key, name string, ttl time.Duration) (*leadership, error) {
	life, end := context.WithCancel(context.Background())
	session, err := call(ctx, r, "lead for", name, func(ctx context.Context, client *clientv3.Client) (*concurrency.Session, error) {
		grant, err := client.Grant(ctx, seconds(ttl))
		if err != nil {
			return nil, err
		}
		return concurrency.NewSession(client, concurrency.WithLease(grant.ID), concurrency.WithContext(life))
	})
	if err != nil {
		end()
		return nil, err
	}
	l := &leadership{registry: r, name: name, session: session, end: end, done: make(chan struct{})}
	l.election = concurrency.NewElection(session, key)
	l.resigned = sync.OnceValue(l.resign)
	waiting, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	go func() { // a session that is lost while it waits stands no more
		defer close(stop)
		select {
		case <-session.Done():
			cancel()
		case <-waiting.Done():
		}
	}()
	err = l.election.Campaign(waiting, "")
	cancel()
	<-stop
	if err != nil {
		_ = l.resigned()
		if ctx.Err() == nil && errors.Is(err, context.Canceled) {
			err = discovery.Mark(discovery.ErrUnavailable, errors.New("the session was lost"))
		}
		return nil, r.fail("lead for", name, r.explain(err, 0))
	}
	r.group.Go(context.Background(), l.watch)
	return l, nil
}

// leadership holds the oldest key of an election, on the lease of a session.
type leadership struct {
	registry *registry
	name     string
	session  *concurrency.Session
	election *concurrency.Election
	end      context.CancelFunc
	done     chan struct{}
	resigned func() error
}

// watch ends the leadership with its session, or with the registry.
func (l *leadership) watch(ctx context.Context) {
	defer close(l.done)
	select {
	case <-l.session.Done():
	case <-ctx.Done():
		_ = l.resigned()
	}
}

// write does one operation on the value if this process leads at that moment.
func (l *leadership) write(ctx context.Context, operation clientv3.Op) error {
	_, err := call(ctx, l.registry, "write, as its leader, value", l.name, func(ctx context.Context, client *clientv3.Client) (any, error) {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(l.election.Key()), "=", l.election.Rev())).
			Then(operation).
			Commit()
		if err == nil && !response.Succeeded {
			err = discovery.Mark(discovery.ErrConflict, errResigned)
		}
		return nil, err
	})
	return err
}

func (l *leadership) Put(ctx context.Context, value []byte) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.write(ctx, clientv3.OpPut(key, string(value)))
}

func (l *leadership) Delete(ctx context.Context) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err != nil {
		return l.registry.fail("delete value", l.name, err)
	}
	return l.write(ctx, clientv3.OpDelete(key))
}

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	err := l.resigned()
	<-l.done
	return err
}

// resign ends the session, and with it the key of the election.
func (l *leadership) resign() error {
	defer l.end()
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	_, err := call(ctx, l.registry, "resign from", l.name, func(ctx context.Context, client *clientv3.Client) (any, error) {
		return client.Revoke(ctx, l.session.Lease())
	})
	l.session.Orphan()
	return err
}
