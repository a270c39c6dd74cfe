package registryd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery/driver"
)

// watchedSource is a source whose watches a test feeds.
func watchedSource() (s *mirrorSource, services, values chan clientv3.WatchResponse, rights *rights) {
	services, values = make(chan clientv3.WatchResponse, 2*mostChanges), make(chan clientv3.WatchResponse, 1)
	rights = newRights()
	return &mirrorSource{rights: rights, outdated: rights.change(), services: services, values: values}, services, values, rights
}

func putEvent(key string) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(key), Lease: 7}}
}

// TestMirrorChanges: what is there is given together, up to a bound, and before what broke the watches.
func TestMirrorChanges(t *testing.T) {
	s, services, values, _ := watchedSource()
	for i := range mostChanges + 1 {
		services <- clientv3.WatchResponse{Events: []*clientv3.Event{putEvent(fmt.Sprint("/", i))}}
	}
	gone := putEvent("/gone")
	gone.Type = clientv3.EventTypeDelete
	values <- clientv3.WatchResponse{Events: []*clientv3.Event{gone}}
	keys := map[string]driver.Item{}
	for _, most := range []int{mostChanges, 2} {
		c, err := s.Next(t.Context())
		require.NoError(t, err)
		require.False(t, c.Whole)
		require.Len(t, c.Items, most)
		for _, item := range c.Items {
			keys[item.Key] = item
		}
	}
	require.Len(t, keys, mostChanges+2)
	require.True(t, keys["/gone"].Gone)
	require.False(t, keys["/0"].Gone)
	require.Equal(t, clientv3.LeaseID(7), leaseOf(keys["/0"]))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	values <- clientv3.WatchResponse{Events: []*clientv3.Event{gone}}
	close(services)
	c, err := s.Next(t.Context())
	if err == nil { // it may have seen the end first
		require.Len(t, c.Items, 1)
		_, err = s.Next(t.Context())
	}
	require.ErrorIs(t, err, driver.ErrGap)
}

// TestMirrorBreaks: what an immediate read mends, or explains, is a gap; anything else is an outage.
func TestMirrorBreaks(t *testing.T) {
	worded := func(err error) clientv3.WatchResponse { // as etcd refuses a watch
		return clientv3.WatchResponse{Canceled: true, CancelReason: "rpc error: code = X desc = " + err.Error()}
	}
	for name, test := range map[string]struct {
		response clientv3.WatchResponse
		gap      bool
	}{
		"compacted": {clientv3.WatchResponse{Canceled: true, CompactRevision: 5}, true},
		"token":     {worded(rpctypes.ErrInvalidAuthToken), true},
		"denied":    {worded(rpctypes.ErrPermissionDenied), true},
		"no leader": {worded(rpctypes.ErrNoLeader), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, values, _ := watchedSource()
			values <- test.response
			for range 2 {
				_, err := s.Next(t.Context())
				require.Error(t, err)
				require.Equal(t, test.gap, driver.IsGap(err), "%v", err)
			}
		})
	}
	s, _, _, rights := watchedSource()
	rights.note(1)
	rights.note(2)
	_, err := s.Next(t.Context())
	require.ErrorIs(t, err, driver.ErrGap)
}

// TestMirrorSource reads and follows a real etcd. A token that etcd does not know any more is replaced, and what a
// caller may not read is not read.
func TestMirrorSource(t *testing.T) {
	server, url := start(t, Options{})
	client := etcdClient(t, url)
	const lease = 7
	grant(t, client, lease, 60)
	for key, value := range map[string]string{"services/web/a": `{"host":"h"}`, "environment/WEB": "secret"} {
		_, err := client.Put(t.Context(), "/envharness/"+key, value, clientv3.WithLease(lease))
		require.NoError(t, err)
	}
	makeUsers(t, client)
	root := caller{user: "root", password: "rootpw"}
	logins := server.handler.store.logins
	logins.remember(root.key(), "ran out")
	s := &mirrorSource{store: server.handler.store, rights: newRights()}
	defer s.Close()
	ctx := withCaller(t.Context(), root)
	c, err := s.Read(ctx)
	require.NoError(t, err)
	require.True(t, c.Whole)
	require.True(t, s.writable)
	require.Len(t, c.Items, 2)
	for _, item := range c.Items {
		require.Equal(t, clientv3.LeaseID(lease), leaseOf(item), item.Key)
		require.NotContains(t, string(item.Value), "secret")
	}
	put := func(value string) {
		require.Equal(t, 204, as(t, "root", "rootpw", "PUT", url+"/environment/NEW", value).status)
		c, err = s.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, "/envharness/environment/NEW", c.Items[0].Key)
	}
	put("1")
	_, err = s.Read(ctx) // again
	require.NoError(t, err)
	put("2")

	s.Close()
	require.NoError(t, s.watch(withToken(ctx, "ran out"), "/a", "/b", 1))
	_, err = s.Next(ctx)
	require.ErrorIs(t, err, driver.ErrGap, "the read that follows replaces the token")
	_, err = s.Read(withCaller(t.Context(), caller{token: "unknown"}))
	require.ErrorIs(t, err, rpctypes.ErrInvalidAuthToken)
	_, err = s.Read(withCaller(t.Context(), caller{user: "web", password: "webpw"}))
	require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)

	ended, end := context.WithCancel(ctx)
	end()
	_, err = s.Read(ended)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	require.Nil(t, s.cancel, "no watch is left")
}
