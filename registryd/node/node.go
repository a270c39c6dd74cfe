// Package node is the etcd behind a registry: one in this process with its data in a directory, or one that is
// there already.
package node

import (
	"context"
	"errors"
	"net/http"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Node is an etcd. The caller closes it.
type Node interface {
	// Client reaches it, with no login: calls carry their caller's token.
	Client() *clientv3.Client

	// Get reads one key as who has the token, which is empty for nobody in particular. It is Client's Get, without a
	// way through the network where there is none.
	Get(ctx context.Context, token, key string) (*clientv3.GetResponse, error)

	// GRPC serves etcd's protocol; nil when clients are to go to etcd itself.
	GRPC() http.Handler

	// AuthEnabled reports whether etcd asks for users.
	AuthEnabled(ctx context.Context) (bool, error)

	// AuthRevision changes whenever users, passwords, roles or permissions do.
	AuthRevision(ctx context.Context) (uint64, error)

	// ValidToken reports whether etcd knows a token.
	ValidToken(ctx context.Context, token string) (bool, error)

	// Health says how etcd is.
	Health(ctx context.Context) Health

	// Failed gives the error by which etcd ended by itself.
	Failed() <-chan error

	Close()
}

// Health is what /readyz tells.
type Health struct {
	Ready   bool     `json:"ready"`
	Etcd    string   `json:"etcd"`              // embedded or external
	Size    int64    `json:"size,omitempty"`    // of the data, in bytes
	Quota   int64    `json:"quota,omitempty"`   // beyond which nothing is written
	Free    uint64   `json:"free,omitempty"`    // on the data's disk, in bytes
	Problem []string `json:"problem,omitempty"` // why it is not ready
}

// report adds a problem.
func (h *Health) report(problem string) { h.Problem = append(h.Problem, problem) }

// IsTokenOver reports whether etcd refused a token that may have been good before: another login may help. Tokens that etcd
// keeps no list of (JWT) are over with any change of users or roles.
func IsTokenOver(err error) bool {
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision)
}

// IsDenial reports whether etcd refused an error's call for who made it.
func IsDenial(err error) bool {
	for _, denial := range []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
		rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrInvalidAuthMgmt,
	} {
		if errors.Is(err, denial) {
			return true
		}
	}
	return false
}
