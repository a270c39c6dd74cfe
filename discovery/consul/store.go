package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/internal/backoff"
)

var (
	errChanged   = errors.New("it has changed meanwhile")
	errNoKey     = errors.New("there is no such key")
	errNoSession = errors.New("the session is no more")
)

// read gives the entry of one key, nil when there is none.
func read(client *agent.Client, key string, q *api.QueryOptions) (*api.KVPair, error) {
	results, err := transact(client, q, &api.KVTxnOp{Verb: api.KVGet, Key: key})
	switch {
	case errors.Is(err, errNoKey), err == nil && len(results) == 0:
		return nil, readable(client, key, q)
	case err != nil:
		return nil, err
	case len(results) != 1 || results[0].KV == nil:
		return nil, fmt.Errorf("the agent gives %d answers for one key", len(results))
	}
	return results[0].KV, nil
}

// readable is the error of a token that may not read a key. Consul leaves out of its answers what the token may
// not read, as if it were not there; only the condition of a transaction is refused by name.
func readable(client *agent.Client, key string, q *api.QueryOptions) error {
	_, err := transact(client, q, &api.KVTxnOp{Verb: api.KVCheckIndex, Key: key})
	if errors.Is(err, errNoKey) || errors.Is(err, errChanged) {
		return nil
	}
	return err
}

// write does all of it or nothing. It matches errChanged when the store is not what the operations ask for, and
// errNoSession when a session is not there.
func write(ctx context.Context, client *agent.Client, operations ...*api.KVTxnOp) error {
	_, err := transact(client, agent.Strong(ctx), operations...)
	if errors.Is(err, errNoKey) {
		err = discovery.Mark(errChanged, err)
	}
	return err
}

func transact(client *agent.Client, q *api.QueryOptions, operations ...*api.KVTxnOp) (api.TxnResults, error) {
	var all api.TxnOps
	for _, operation := range operations {
		all = append(all, &api.TxnOp{KV: operation})
	}
	done, response, _, err := client.Txn().Txn(all, q)
	if err != nil {
		return nil, err
	}
	if done {
		return response.Results, nil
	}
	why := "nothing of why"
	if len(response.Errors) > 0 {
		why = response.Errors[0].What
	}
	return nil, refusal(why)
}

// refusal is the error of a transaction that was not done.
func refusal(why string) error {
	kind := errChanged
	switch {
	case agent.IsDenial(0, why):
		return agent.Answered(0, why)
	case strings.HasSuffix(why, "doesn't exist"):
		kind = errNoKey
	case strings.Contains(why, "invalid session"):
		kind = errNoSession
	}
	return discovery.Mark(kind, errors.New("the agent says: "+why))
}

// changing repeats what reads and then writes, for as long as the write is refused because of a change in
// between.
func changing(ctx context.Context, attempt func() error) error {
	rest := soon
	for {
		err := attempt()
		if !errors.Is(err, errChanged) {
			return err
		}
		if rest.Wait(ctx) != nil {
			return discovery.Mark(discovery.ErrUnavailable, err)
		}
	}
}

// soon is what lies between attempts at what should work soon.
var soon = backoff.Delay{First: 5 * time.Millisecond, Most: 200 * time.Millisecond}

// mayRead is the error of a token that may not read what begins with a prefix: what looks empty may be forbidden.
func (b *backend) mayRead(ctx context.Context, client *agent.Client, prefix string) error {
	return readable(client, prefix+"%", b.Reading(ctx)) // no name is written like this
}

// isKept reports whether a session holds an entry: what none holds is nobody's, however it came there.
func isKept(entry *api.KVPair) bool { return entry != nil && entry.Session != "" }

func itemOf(entry *api.KVPair) driver.Item {
	version := driver.Version{int64(entry.ModifyIndex), int64(entry.CreateIndex)}
	return driver.Item{Key: "/" + entry.Key, Value: entry.Value, Version: version, Note: entry}
}

// Ping asks for a key, as a read would.
func (b *backend) Ping(ctx context.Context) error {
	_, err := b.Get(ctx, b.keys.values+"%", false)
	return err
}

func (b *backend) Get(ctx context.Context, key string, latest bool) (driver.Item, error) {
	return agent.Call(ctx, b.Agent, func(ctx context.Context, client *agent.Client) (driver.Item, error) {
		q := b.Reading(ctx)
		if latest {
			q = agent.Strong(ctx)
		}
		entry, err := read(client, plain(key), q)
		if err != nil || entry == nil {
			return driver.Item{Key: key, Gone: true}, err
		}
		return itemOf(entry), nil
	})
}

func (b *backend) Keys(ctx context.Context, prefix string) ([]string, error) {
	return agent.Call(ctx, b.Agent, func(ctx context.Context, client *agent.Client) ([]string, error) {
		keys, _, err := client.KV().Keys(plain(prefix), "", b.Reading(ctx))
		if err == nil && len(keys) == 0 {
			err = b.mayRead(ctx, client, plain(prefix))
		}
		for i, key := range keys {
			keys[i] = "/" + key
		}
		return keys, err
	})
}

func (b *backend) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl > maxSession {
		return discovery.Mark(discovery.ErrUnsupported, fmt.Errorf("a TTL of %s: Consul's sessions last %s at most", ttl, maxSession))
	}
	key = plain(key)
	return agent.Do(ctx, b.Agent, func(ctx context.Context, client *agent.Client) error {
		if ttl > 0 {
			if err := b.AtHome(ctx, client); err != nil {
				return err
			}
			return putFor(ctx, client, key, value, ttl)
		}
		return changing(ctx, func() error { return write(ctx, client, replaceValue(key, value, "")...) })
	})
}

// replaceValue writes a value that a session holds, or none. Deleting it first takes it away from the session
// that may have held it until now.
func replaceValue(key string, value []byte, session string) api.KVTxnOps {
	verb := api.KVSet
	if session != "" {
		verb = api.KVLock
	}
	return api.KVTxnOps{{Verb: api.KVDelete, Key: key}, {Verb: verb, Key: key, Value: value, Session: session}}
}

// putFor writes a value under a session that nobody renews, and that depends on nothing else.
func putFor(ctx context.Context, client *agent.Client, key string, value []byte, ttl time.Duration) error {
	session, _, err := client.Session().CreateNoChecks(newSession(key, ttl), agent.Writing(ctx))
	if err != nil {
		return err
	}
	err = changing(ctx, func() error { return write(ctx, client, replaceValue(key, value, session)...) })
	if err == nil {
		return nil
	}
	return errors.Join(err, endSession(ctx, client, session))
}

func (b *backend) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	return agent.Call(ctx, b.Agent, func(ctx context.Context, client *agent.Client) (bool, error) {
		err := write(ctx, client, &api.KVTxnOp{Verb: api.KVCAS, Key: plain(was.Key), Value: value, Index: uint64(was.Version[0])})
		if errors.Is(err, errChanged) {
			return false, nil
		}
		return err == nil, err
	})
}

func (b *backend) Delete(ctx context.Context, key string) (found bool, err error) {
	key = plain(key)
	return agent.Call(ctx, b.Agent, func(ctx context.Context, client *agent.Client) (bool, error) {
		_, err := transact(client, agent.Strong(ctx), &api.KVTxnOp{Verb: api.KVGet, Key: key}, &api.KVTxnOp{Verb: api.KVDelete, Key: key})
		if errors.Is(err, errNoKey) {
			return false, nil
		}
		return err == nil, err
	})
}
