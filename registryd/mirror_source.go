package registryd

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/registryd/node"
)

// mostChanges is how many changes are given at once, at most about.
const mostChanges = 1000

// mirrorSource follows all services and the keys of all values, with the rights of the caller whom Read's context
// names. It implements driver.Source.
type mirrorSource struct {
	store    *store
	rights   *rights
	writable bool // the caller may write every value, as of the last Read

	outdated         <-chan struct{} // closed when rights have changed since the last Read
	services, values clientv3.WatchChan
	cancel           context.CancelFunc // nil: there are no watches
	broken           error              // why the watches have ended
}

// Read reads all at one revision, and watches from the next. A token that ran out is replaced before that, and the
// watches live on with the one that the read was allowed with.
func (s *mirrorSource) Read(ctx context.Context) (driver.Changes, error) {
	s.Close()
	s.outdated, s.broken = s.rights.change(), nil
	services, values := s.store.keys.ServicesPrefix(), s.store.keys.ValuesPrefix()
	state, err := call(ctx, s.store, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		state, err := s.store.client.Txn(ctx).Then(
			clientv3.OpGet(services, clientv3.WithPrefix()),
			// The order makes etcd 3.7 look the keys' leases up, which it does not for keys alone.
			clientv3.OpGet(values, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithSort(clientv3.SortByValue, clientv3.SortAscend)),
		).Commit()
		if err == nil {
			err = s.watch(ctx, services, values, state.Header.Revision+1)
		}
		return state, err
	})
	if err != nil {
		return driver.Changes{}, err
	}
	s.writable = s.store.mayWrite(ctx, values)
	c := driver.Changes{Whole: true}
	for _, part := range state.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			c.Items = append(c.Items, itemOf(kv))
		}
	}
	return c, nil
}

// watch subscribes with the token that ctx carries. The watches outlive ctx.
func (s *mirrorSource) watch(ctx context.Context, services, values string, revision int64) error {
	life, cancel := context.WithCancel(clientv3.WithRequireLeader(context.WithoutCancel(ctx)))
	stop := context.AfterFunc(ctx, cancel) // Watch blocks while there is no connection
	from := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(revision)}
	s.services, s.values = s.store.client.Watch(life, services, from...), s.store.client.Watch(life, values, from...)
	s.cancel = cancel
	if !stop() {
		s.Close()
		return ctx.Err()
	}
	return nil
}

func itemOf(kv *mvccpb.KeyValue) driver.Item {
	version := driver.Version{kv.ModRevision, kv.CreateRevision, kv.Version, kv.Lease}
	return driver.Item{Key: string(kv.Key), Value: kv.Value, Version: version}
}

// leaseOf is the lease that an item stands on; 0 is none.
func leaseOf(item driver.Item) clientv3.LeaseID { return clientv3.LeaseID(item.Version[3]) }

// mayWrite reports whether the caller may write what begins with prefix: etcd checks all that a transaction could
// do, and this one never does it.
func (s *store) mayWrite(ctx context.Context, prefix string) bool {
	_, err := call(ctx, s, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).If(clientv3.Compare(clientv3.Version(prefix), "<", 0)).Then(clientv3.OpPut(prefix, "")).Commit()
	})
	return !node.IsDenial(err)
}

// Next gives changes of either watch. When rights change it is a gap: all is read again with those of then.
func (s *mirrorSource) Next(ctx context.Context) (driver.Changes, error) {
	var c driver.Changes
	if s.broken == nil {
		select {
		case response, ok := <-s.services:
			s.take(&c, response, ok)
		case response, ok := <-s.values:
			s.take(&c, response, ok)
		case <-s.outdated:
			s.broken = driver.ErrGap
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
	for more := true; more && s.broken == nil && len(c.Items) < mostChanges; {
		select {
		case response, ok := <-s.services:
			s.take(&c, response, ok)
		case response, ok := <-s.values:
			s.take(&c, response, ok)
		default:
			more = false
		}
	}
	if len(c.Items) > 0 { // what broke the watches is given the next time
		return c, nil
	}
	return c, s.broken
}

func (s *mirrorSource) take(c *driver.Changes, response clientv3.WatchResponse, ok bool) {
	s.broken = judge(response, ok)
	for _, event := range response.Events {
		item := itemOf(event.Kv)
		item.Gone = event.Type == clientv3.EventTypeDelete
		c.Items = append(c.Items, item)
	}
}

// judge is the error that a response stands for. Where the watch is at fault and etcd is not, as when its token ran
// out, it is a gap: the read that follows replaces the token, or says why that cannot be.
func judge(response clientv3.WatchResponse, ok bool) error {
	err := response.Err()
	if !ok || errors.Is(err, rpctypes.ErrCompacted) || err != nil && refusesWatch(err) {
		return driver.ErrGap
	}
	return err
}

// refusesWatch reports whether etcd refused a watch for who made it. It does so in words alone, which
// node.IsDenial does not know.
func refusesWatch(err error) bool {
	for _, refusal := range []error{
		rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty, rpctypes.ErrPermissionDenied,
	} {
		if strings.HasSuffix(err.Error(), refusal.Error()) {
			return true
		}
	}
	return false
}

// Close ends the watches.
func (s *mirrorSource) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	for _, changes := range []clientv3.WatchChan{s.services, s.values} {
		for range changes { // it is closed soon; who goes on earlier leaves work behind
		}
	}
	s.cancel = nil
}
