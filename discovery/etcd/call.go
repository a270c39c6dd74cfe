package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery"
)

// call asks the cluster within the registry's time and puts its error into ours.
func call[T any](ctx context.Context, r *registry, op, name string, ask func(context.Context, *clientv3.Client) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	start := time.Now()
	var answer T
	client, err := r.connection.get()
	if err == nil {
		answer, err = ask(ctx, client)
	}
	if err != nil {
		err = r.fail(op, name, r.explain(err, time.Since(start)))
	}
	return answer, err
}

// fail says what could not be done.
func (r *registry) fail(op, name string, err error) error {
	e := &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
	switch {
	case errors.Is(err, discovery.ErrDenied):
		e.Hint = "give user and password in the URL, by ?user-file= or in " + discovery.UserVariable + " and " + discovery.PasswordVariable
	case errors.Is(err, rpctypes.ErrNoSpace):
		e.Hint = "its store is full: free space with etcdctl compact and defrag, then etcdctl alarm disarm; or give it more by --quota-backend-bytes"
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrLeaderChanged), errors.Is(err, rpctypes.ErrTimeout):
		e.Hint = "see whether the cluster has a quorum: etcdctl --endpoints " + r.config.Addresses(defaultPort)[0] + " endpoint status --cluster"
	case errors.Is(err, discovery.ErrUnavailable):
		e.Hint = "see whether etcd runs there: etcdctl --endpoints " + r.config.Addresses(defaultPort)[0] + " endpoint health"
	}
	return e
}

// explain gives an error its kind. Those that are ours already stay as they are.
func (r *registry) explain(err error, took time.Duration) error {
	var known rpctypes.EtcdError
	switch code := codeOf(err); {
	case errors.Is(err, context.Canceled):
		return discovery.Mark(discovery.ErrUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return discovery.Mark(discovery.ErrUnavailable,
			fmt.Errorf("tried for %s: %s: %w", took.Round(time.Millisecond), r.connection.report(), context.DeadlineExceeded))
	case isDenial(err), code == codes.PermissionDenied, code == codes.Unauthenticated:
		return discovery.Mark(discovery.ErrDenied, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return discovery.Mark(discovery.ErrInvalid, err)
	case errors.As(err, &known):
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("etcd answers: %w", err))
	case code != codes.OK:
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("after %s: %s: %w", took.Round(time.Millisecond), r.connection.report(), err))
	}
	return err
}

// codeOf gives the gRPC code; OK when err is of another kind.
func codeOf(err error) codes.Code {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code()
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return codes.OK
}

func isDenial(err error) bool {
	for _, denial := range []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
		rpctypes.ErrInvalidAuthToken, rpctypes.ErrInvalidAuthMgmt,
	} {
		if errors.Is(err, denial) {
			return true
		}
	}
	return false
}

// revision is etcd's count of changes as a snapshot shows it.
func revision(n int64) string { return strconv.FormatInt(n, 10) }
