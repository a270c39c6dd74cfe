package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/etcd"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/internal/failure"
)

const (
	etcdPort     = 2379
	rememberAuth = 10 * time.Second // what etcd says of its users
)

// external is an etcd of somebody else's.
type external struct {
	config discovery.Config
	toEtcd *clientv3.Client
	prefix string

	lock  sync.Mutex
	auth  *clientv3.AuthStatusResponse
	asked time.Time
}

// OpenExternal reaches the etcd that a URL names; the second result is the prefix of our keys there.
func OpenExternal(url string, log *slog.Logger) (Node, string, error) {
	_, config, err := discovery.NewEngines(etcd.Engine).Find(url, discovery.WithLog(log))
	if err != nil {
		return nil, "", err
	}
	if config.User != "" || config.UserFile != "" {
		return nil, "", &failure.Error{
			Problem: "the URL of etcd has a login",
			Next:    "leave it out: calls go to etcd as their caller, who sends user and password here",
		}
	}
	addresses := config.Addresses(etcdPort)
	host, _, err := net.SplitHostPort(addresses[0])
	if err != nil {
		return nil, "", err
	}
	tls, err := config.TLSConfig(host)
	if err != nil {
		return nil, "", err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            addresses,
		TLS:                  tls,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		Logger:               zap.NewNop(),
		DialOptions:          []grpc.DialOption{grpc.WithContextDialer(dialEtcd)},
	})
	if err != nil {
		return nil, "", err
	}
	prefix := config.Prefix
	if prefix == "" {
		prefix = layout.DefaultPrefix
	}
	return &external{config: config, toEtcd: client, prefix: prefix}, prefix, nil
}

// dialEtcd tries every address of a name.
func dialEtcd(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, discovery.ConnectTimeout)
	defer cancel()
	return discovery.Dial(ctx, "tcp", address)
}

func (e *external) Client() *clientv3.Client { return e.toEtcd }

func (e *external) Get(ctx context.Context, token, key string) (*clientv3.GetResponse, error) {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
	}
	return e.toEtcd.Get(ctx, key)
}

func (e *external) GRPC() http.Handler { return nil }

func (e *external) AuthEnabled(ctx context.Context) (bool, error) {
	auth, err := e.authStatus(ctx)
	if err != nil {
		return false, err
	}
	return auth.Enabled, nil
}

func (e *external) AuthRevision(ctx context.Context) (uint64, error) {
	auth, err := e.authStatus(ctx)
	if err != nil {
		return 0, err
	}
	return auth.AuthRevision, nil
}

func (e *external) authStatus(ctx context.Context) (*clientv3.AuthStatusResponse, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if time.Since(e.asked) < rememberAuth {
		return e.auth, nil
	}
	auth, err := e.toEtcd.AuthStatus(ctx)
	if err != nil {
		return nil, err
	}
	e.auth, e.asked = auth, time.Now()
	return auth, nil
}

// ValidToken asks for a key with the token: who is known and may not read it is told so.
func (e *external) ValidToken(ctx context.Context, token string) (bool, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
	_, err := e.toEtcd.Get(ctx, "/"+e.prefix, clientv3.WithKeysOnly(), clientv3.WithSerializable())
	switch {
	case err == nil, errors.Is(err, rpctypes.ErrPermissionDenied):
		return true, nil
	case IsTokenOver(err):
		return false, nil
	}
	return false, err
}

func (e *external) Health(ctx context.Context) Health {
	h := Health{Etcd: "external"}
	_, err := e.toEtcd.Get(ctx, "/"+e.prefix, clientv3.WithKeysOnly())
	if err != nil && !IsDenial(err) {
		h.report(fmt.Sprintf("etcd at %s does not answer", e.config))
	}
	h.Ready = len(h.Problem) == 0
	return h
}

func (e *external) Failed() <-chan error { return nil }

func (e *external) Close() { e.toEtcd.Close() }
