package cluster

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// answered tells an error that etcd answers with from one of having no answer.
func (c *Client) answered(err error) error {
	if kind := c.KindOf(err); kind == discovery.ErrUnavailable && errors.As(err, new(rpctypes.EtcdError)) {
		return discovery.Mark(kind, fmt.Errorf("etcd answers: %w", err))
	}
	return err
}

// Explain gives the error of a stream a kind.
func (c *Client) Explain(err error) error { return driver.Explain(c, c.answered(err), 0) }

// Hint says what people can do about an error; "" if nothing is known.
func (c *Client) Hint(err error) string {
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return driver.LoginHint
	case errors.Is(err, rpctypes.ErrNoSpace):
		return "its store is full: free space with etcdctl compact and defrag, then etcdctl alarm disarm; or give it more by --quota-backend-bytes"
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrLeaderChanged), errors.Is(err, rpctypes.ErrTimeout):
		return "see whether the cluster has a quorum: etcdctl --endpoints " + c.addresses[0] + " endpoint status --cluster"
	case errors.Is(err, discovery.ErrUnavailable) && c.dials.Hint() != "":
		return c.dials.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether etcd runs there: etcdctl --endpoints " + c.addresses[0] + " endpoint health"
	}
	return ""
}

// Report is that of driver.Client.
func (c *Client) Report() string { return c.dials.Report() }

// KindOf is that of driver.Client.
func (c *Client) KindOf(err error) error {
	var known rpctypes.EtcdError
	switch code := CodeOf(err); {
	case code == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case isDenial(err), code == codes.PermissionDenied, code == codes.Unauthenticated:
		return discovery.ErrDenied
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return discovery.ErrInvalid
	case errors.As(err, &known), code != codes.OK:
		return discovery.ErrUnavailable
	}
	return nil
}

// CodeOf gives the gRPC code; OK when err is of another kind.
func CodeOf(err error) codes.Code {
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
	return driver.IsAny(err, rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty,
		rpctypes.ErrUserNotFound, rpctypes.ErrInvalidAuthToken, rpctypes.ErrInvalidAuthMgmt)
}
