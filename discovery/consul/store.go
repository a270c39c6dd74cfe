package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
)

var (
	errChanged   = errors.New("it has changed meanwhile")
	errNoKey     = errors.New("there is no such key")
	errNoSession = errors.New("the session is no more")
)

// read gives the entry of one key, nil when there is none.
func read(client *client, key string, q *api.QueryOptions) (*api.KVPair, error) {
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
func readable(client *client, key string, q *api.QueryOptions) error {
	_, err := transact(client, q, &api.KVTxnOp{Verb: api.KVCheckIndex, Key: key})
	if errors.Is(err, errNoKey) || errors.Is(err, errChanged) {
		return nil
	}
	return err
}

// write does all of it or nothing. It matches errChanged when the store is not what the operations ask for, and
// errNoSession when a session is not there.
func write(ctx context.Context, client *client, operations ...*api.KVTxnOp) error {
	_, err := transact(client, strong(ctx), operations...)
	if errors.Is(err, errNoKey) {
		err = discovery.Mark(errChanged, err)
	}
	return err
}

func transact(client *client, q *api.QueryOptions, operations ...*api.KVTxnOp) (api.TxnResults, error) {
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
	case isDenial(0, why):
		return answered(0, why)
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
	var rest pause
	for {
		err := attempt()
		if !errors.Is(err, errChanged) {
			return err
		}
		if rest.wait(ctx) != nil {
			return discovery.Mark(discovery.ErrUnavailable, err)
		}
	}
}

// pause is what lies between attempts at what should work soon.
type pause struct{ next time.Duration }

func (p *pause) wait(ctx context.Context) error {
	p.next = min(max(2*p.next, 5*time.Millisecond), 200*time.Millisecond)
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mayRead is the error of a token that may not read what begins with a prefix: what looks empty may be forbidden.
func (r *registry) mayRead(ctx context.Context, client *client, prefix string) error {
	return readable(client, prefix+"%", r.reading(ctx)) // no name is written like this
}

// isKept reports whether a session holds an entry: what none holds is nobody's, however it came there.
func isKept(entry *api.KVPair) bool { return entry != nil && entry.Session != "" }
