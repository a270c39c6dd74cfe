package node

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/crypto/bcrypt"
)

// TestGet: a read that does not come by the network asks for the same rights as one that does.
func TestGet(t *testing.T) {
	n, err := OpenEmbedded(t.Context(), filepath.Join(t.TempDir(), "data"), Tuning{PasswordCost: uint(bcrypt.MinCost)}, quiet)
	require.NoError(t, err)
	defer n.Close()
	ctx, client := t.Context(), n.Client()
	_, err = client.Put(ctx, "a", "x")
	require.NoError(t, err)
	got, err := n.Get(ctx, "", "a")
	require.NoError(t, err)
	same, err := client.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, same.Kvs[0].Value, got.Kvs[0].Value)
	require.Equal(t, same.Header.Revision, got.Header.Revision)
	none, err := n.Get(ctx, "", "b")
	require.NoError(t, err)
	require.Empty(t, none.Kvs)

	for _, do := range []func() error{
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "root", "rootpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, "b"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "b", "b", "", clientv3.PermissionType(clientv3.PermRead))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, "b", "bpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "b", "b"); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, do())
	}
	login := func(user string) string {
		answer, err := client.Authenticate(ctx, user, user+"pw")
		require.NoError(t, err)
		return answer.Token
	}
	_, err = n.Get(ctx, "", "a")
	require.ErrorIs(t, err, rpctypes.ErrUserEmpty)
	_, err = n.Get(ctx, "bogus", "a")
	require.ErrorIs(t, err, rpctypes.ErrInvalidAuthToken)
	b := login("b")
	_, err = n.Get(ctx, b, "a")
	require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
	_, err = n.Get(ctx, b, "b")
	require.NoError(t, err)
	got, err = n.Get(ctx, login("root"), "a")
	require.NoError(t, err)
	require.Equal(t, "x", string(got.Kvs[0].Value))

	n.Close()
	_, err = n.Get(ctx, "", "a")
	require.Error(t, err)
}
