package registryd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/registryd/node"
)

// refusal is an error that is told to the client.
type refusal struct {
	status int
	reason string
	header http.Header
}

func (e *refusal) Error() string { return e.reason }

func problem(status int, format string, args ...any) error {
	return &refusal{status: status, reason: fmt.Sprintf(format, args...)}
}

// notAllowed names the methods that are. Where GET is one, so is HEAD.
func notAllowed(methods ...string) error {
	if at := slices.Index(methods, http.MethodGet); at >= 0 {
		methods = slices.Insert(methods, at+1, http.MethodHead)
	}
	return &refusal{status: http.StatusMethodNotAllowed, reason: "the method is none of " + strings.Join(methods, ", "),
		header: http.Header{"Allow": methods}}
}

// refusalOf says by which status and words an error is told. Words are ours or etcd's own: neither has a value.
func refusalOf(err error) *refusal {
	var told *refusal
	var known rpctypes.EtcdError
	var crowd *crowdError
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &crowd):
		return tooMany(crowd.wait)
	case errors.Is(err, errNoRoom):
		return &refusal{status: http.StatusServiceUnavailable, reason: err.Error(), header: http.Header{"Retry-After": {"1"}}}
	case errors.Is(err, errManyWatch):
		return &refusal{status: http.StatusServiceUnavailable, reason: err.Error()}
	case errors.Is(err, errCondition):
		return &refusal{status: http.StatusPreconditionFailed, reason: err.Error()}
	case errors.Is(err, errTooLarge), errors.Is(err, rpctypes.ErrRequestTooLarge), status.Code(err) == codes.ResourceExhausted && !errors.Is(err, rpctypes.ErrNoSpace):
		return &refusal{status: http.StatusRequestEntityTooLarge, reason: errTooLarge.Error()}
	case node.IsDenial(err):
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

// denial tells an anonymous caller, who may log in, from somebody who may not do this.
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

func tooMany(wait time.Duration) *refusal {
	seconds := strconv.Itoa(int(wait/time.Second) + 1)
	return &refusal{
		status: http.StatusTooManyRequests,
		reason: "too many failed logins, try again in " + seconds + " s",
		header: http.Header{"Retry-After": {seconds}},
	}
}
