package driver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// recordOf is the record of an instance in the native layout.
func recordOf(t *testing.T, in discovery.Instance) Record {
	t.Helper()
	native := layout.Native("x")
	what := &Registering{Decode: native.Decode}
	what.Encode = func(in discovery.Instance) (string, []byte, bool, error) {
		records, err := native.Encode(in)
		return records[0].Key, records[0].Value, true, err
	}
	key, value, _, err := what.Encode(in)
	require.NoError(t, err)
	return Record{Key: key, Value: value, Instance: in, what: what}
}

// registerOn gives a lease that has registered a record.
func registerOn(t *testing.T, pool *LeasePool[*fakeServerLease], record Record) Lease {
	t.Helper()
	lease := pool.NewLease(9 * time.Second)
	grant, err := lease.Register(t.Context(), record, true)
	require.NoError(t, err)
	require.Equal(t, 9*time.Second, grant.TTL)
	require.NoError(t, lease.Renew(t.Context(), record))
	return lease
}

// Who has lost its ID to a newer registration takes nothing of that with it.
func TestPooledConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		record := recordOf(t, web("a"))
		first := registerOn(t, pool, record)
		second := registerOn(t, pool, record)
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, first.Renew(t.Context(), record), discovery.ErrConflict)
		require.ErrorIs(t, first.Update(t.Context(), record), discovery.ErrConflict)
		_, err := first.Register(t.Context(), record, false)
		require.ErrorIs(t, err, discovery.ErrConflict)
		require.NoError(t, first.Deregister(t.Context()))
		require.NoError(t, second.Renew(t.Context(), record))
		require.NoError(t, second.Deregister(t.Context()))
		require.Empty(t, server.items)
	})
}

// Who has lost its lease registers again, on another.
func TestPooledLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		record := recordOf(t, web("a"))
		lease := registerOn(t, pool, record)
		for _, step := range []func() error{
			func() error { return lease.Update(t.Context(), record) },
			func() error {
				time.Sleep(3 * time.Second)
				return lease.Renew(t.Context(), record)
			},
		} {
			server.leases[len(server.leases)-1].expire()
			require.ErrorIs(t, step(), ErrLost)
			_, err := lease.Register(t.Context(), record, false)
			require.NoError(t, err)
			require.NoError(t, lease.Renew(t.Context(), record))
		}
		require.Len(t, server.leases, 3)

		server.leases[2].expire()
		_, err := lease.Register(t.Context(), record, false)
		require.ErrorIs(t, err, discovery.ErrUnavailable, "it is tried again")
		_, err = lease.Register(t.Context(), record, false)
		require.NoError(t, err)
	})
}

// A record that a call wrote which had no answer is its own, be it on a lease that was lost since.
func TestPooledOwnsWhatItMayHaveWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		record := recordOf(t, web("a"))
		lease := registerOn(t, pool, record)
		server.leases[0].end() // the client could not keep it alive; at the server it still stands
		require.ErrorIs(t, lease.Renew(t.Context(), record), ErrLost)
		_, err := lease.Register(t.Context(), record, false)
		require.NoError(t, err)
		require.Equal(t, []string{record.Key}, server.leases[1].stands())
	})
}

// An update is one step, and keeps what another wrote that this version does not know.
func TestPooledUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		record := recordOf(t, web("a"))
		lease := registerOn(t, pool, record)
		in := record.Instance
		in.Tags = []string{"new"}
		changed, err := record.Of(in)
		require.NoError(t, err)
		require.NoError(t, lease.Update(t.Context(), changed))
		require.Zero(t, server.gets)
		server.leases[0].write(record.Key, []byte(`{"future":1}`))
		require.NoError(t, lease.Update(t.Context(), changed))
		require.Zero(t, server.gets)
		require.Contains(t, string(server.items[record.Key].Value), `"future":1`)
		require.Contains(t, string(server.items[record.Key].Value), `"new"`)

		server.err = errAway // it may have been written
		require.ErrorIs(t, lease.Update(t.Context(), changed), discovery.ErrUnavailable)
		server.err = nil
		require.NoError(t, lease.Update(t.Context(), changed))
		require.Equal(t, 1, server.gets)
	})
}

// portsOf gives a record of its own for each port of an instance, behind the instance's.
func portsOf(in discovery.Instance) ([]layout.Record, error) {
	all, err := layout.Native("x").Encode(in)
	for name := range in.Ports {
		all = append(all, layout.Record{Key: "/ports/" + name, Value: []byte(in.ID)})
	}
	return all, err
}

// An instance of several records has all of them, or none.
func TestMultiLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		lease := &MultiLease{
			Encode:   portsOf,
			NewLease: func() Lease { return pool.NewLease(9 * time.Second) },
			Timeout:  time.Second,
		}
		require.NoError(t, lease.Deregister(t.Context()), "nothing was registered")
		keys := func() (keys []string) {
			for _, one := range server.leases {
				keys = append(keys, one.stands()...)
			}
			return keys
		}
		in := web("a")
		in.Ports = map[string]discovery.Port{"http": {Number: 80}, "grpc": {Number: 81}}
		record := recordOf(t, in)
		_, err := lease.Register(t.Context(), record, true)
		require.NoError(t, err)
		require.Equal(t, []string{"/ports/grpc", "/ports/http", record.Key}, keys())

		other := registerOn(t, pool, Record{Key: "/ports/http", Value: []byte("b")})
		time.Sleep(3 * time.Second)
		require.NoError(t, lease.Renew(t.Context(), record))
		require.Equal(t, "a", string(server.items["/ports/http"].Value), "who has the ID has its ports")
		require.NoError(t, other.Deregister(t.Context()))

		delete(in.Ports, "grpc")
		fewer, err := record.Of(in)
		require.NoError(t, err)
		require.NoError(t, lease.Update(t.Context(), fewer))
		require.Equal(t, []string{"/ports/http", record.Key}, keys())

		server.leases[0].erase(record.Key)
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, lease.Renew(t.Context(), fewer), ErrLost)
		_, err = lease.Register(t.Context(), fewer, false)
		require.NoError(t, err)
		require.NoError(t, lease.Deregister(t.Context()))
		require.Empty(t, keys())
	})
}
