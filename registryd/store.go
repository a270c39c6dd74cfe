package registryd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// store asks etcd on behalf of a caller, whom the context names.
type store struct {
	client *clientv3.Client
	keys   layout.Layout
	logins *logins
	log    *slog.Logger
}

// call lets ask talk to etcd as the caller, for a bounded time.
func call[T any](ctx context.Context, s *store, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return asCaller(ctx, s, ask)
}

// asCaller is call without a limit of time. A token that ran out meanwhile is replaced once.
func asCaller[T any](ctx context.Context, s *store, ask func(context.Context) (T, error)) (T, error) {
	who := callerOf(ctx)
	for again := true; ; again = false {
		token, err := s.logins.token(ctx, who)
		if err != nil {
			var none T
			return none, err
		}
		answer, err := ask(withToken(ctx, token))
		if again && errors.Is(err, rpctypes.ErrInvalidAuthToken) && s.logins.forget(who, token) {
			continue
		}
		return answer, err
	}
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// refusalOf says by which status and words an error is told. Words are ours or etcd's own: neither has a value.
func refusalOf(err error) *refusal {
	var told *refusal
	var known rpctypes.EtcdError
	switch {
	case errors.As(err, &told):
		return told
	case isDenial(err):
		return denial(err)
	case errors.Is(err, discovery.ErrInvalid):
		return &refusal{status: http.StatusBadRequest, reason: err.Error()}
	case errors.Is(err, rpctypes.ErrNoSpace):
		return &refusal{status: http.StatusInsufficientStorage, reason: "no room is left for data, see /readyz"}
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		return &refusal{status: http.StatusServiceUnavailable, reason: "etcd does not answer"}
	case errors.As(err, &known):
		return &refusal{status: http.StatusServiceUnavailable, reason: known.Error()}
	}
	return &refusal{status: http.StatusServiceUnavailable, reason: fmt.Sprintf("etcd cannot be asked: %s", status.Code(err))}
}

// denial tells a stranger, who may log in, from somebody who may not do this.
func denial(err error) *refusal {
	if errors.Is(err, rpctypes.ErrPermissionDenied) {
		return &refusal{status: http.StatusForbidden, reason: "this user may not do that"}
	}
	return askForLogin("etcd asks for a user")
}

func askForLogin(reason string) *refusal {
	return &refusal{
		status: http.StatusUnauthorized,
		reason: reason,
		header: http.Header{"Www-Authenticate": {`Basic realm="envdiscoverd", charset="UTF-8"`}},
	}
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
