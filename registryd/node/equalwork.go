package node

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
)

// nobodysPassword is what an unknown user's password is compared with, at the cost that etcd's are hashed with.
const nobodysPassword = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

// equalWork lets a login of a user that there is not take as long as one with a wrong password: etcd refuses the
// first at once, by which anybody could tell who there is.
func (e *embedded) equalWork(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	login, ok := request.(*etcdserverpb.AuthenticateRequest)
	if !ok {
		return handle(ctx, request)
	}
	answer, err := handle(ctx, request)
	if err != nil && e.etcd != nil && e.etcd.Server.AuthStore().IsAuthEnabled() && !e.hasPassword(login.Name) {
		_ = bcrypt.CompareHashAndPassword([]byte(nobodysPassword), []byte(login.Password))
	}
	return answer, err
}

// hasPassword reports whether etcd has compared a user's password. It has not for users who log in by their
// certificate alone, of which it says no more than of others.
func (e *embedded) hasPassword(user string) bool {
	_, err := e.etcd.Server.AuthStore().UserGet(&etcdserverpb.AuthUserGetRequest{Name: user})
	return err == nil
}
