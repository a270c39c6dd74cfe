package registryd

import (
	"context"
	"net/http"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// backend is the etcd behind the front.
type backend interface {
	// client reaches it, with no login: calls carry their caller's token.
	client() *clientv3.Client

	// grpc serves etcd's protocol; nil when clients are to go to etcd itself.
	grpc() http.Handler

	// authEnabled reports whether etcd asks for users.
	authEnabled(ctx context.Context) (bool, error)

	// validToken reports whether etcd knows a token.
	validToken(ctx context.Context, token string) (bool, error)

	// health says how etcd is.
	health(ctx context.Context) health

	// failed gives the error by which etcd ended by itself.
	failed() <-chan error

	close()
}

// health is what /readyz tells.
type health struct {
	Ready   bool     `json:"ready"`
	Etcd    string   `json:"etcd"`              // embedded or external
	Size    int64    `json:"size,omitempty"`    // of the data, in bytes
	Quota   int64    `json:"quota,omitempty"`   // beyond which nothing is written
	Free    uint64   `json:"free,omitempty"`    // on the data's disk, in bytes
	Problem []string `json:"problem,omitempty"` // why it is not ready
}

// report adds a problem.
func (h *health) report(problem string) { h.Problem = append(h.Problem, problem) }
