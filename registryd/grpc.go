package registryd

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
)

// The calls of etcd's protocol that are open to those who have no token yet.
const (
	mostLogin        = 64 << 10 // bytes of it
	grpcAuthenticate = "/etcdserverpb.Auth/Authenticate"
	grpcHealth       = "/grpc.health.v1.Health/"
)

// isGRPC recognizes etcd's protocol.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// serveGRPC hands a call to etcd's own server.
func (h *handler) serveGRPC(w http.ResponseWriter, r *http.Request) {
	etcd := h.backend.grpc()
	if etcd == nil {
		refuseGRPC(w, codes.Unimplemented, "etcd clients go to etcd itself: this registry stands in front of it for HTTP only")
		return
	}
	if new(http.CrossOriginProtection).Check(r) != nil { // no browser speaks this, as far as is known
		h.metrics.refused("origin")
		refuseGRPC(w, codes.PermissionDenied, "another web page may not call this")
		return
	}
	if !sendsForLong(r.URL.Path) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
	switch {
	case strings.HasPrefix(r.URL.Path, grpcHealth):
	case r.URL.Path == grpcAuthenticate:
		h.authenticateGRPC(w, r, etcd)
		return
	default:
		if err := h.enterGRPC(r); err != nil {
			refuseEntry(w, err)
			return
		}
	}
	etcd.ServeHTTP(w, r)
}

// sendsForLong knows the calls in which a client goes on to say more. All others are said at once.
func sendsForLong(call string) bool {
	return call == "/etcdserverpb.Watch/Watch" || call == "/etcdserverpb.Lease/LeaseKeepAlive"
}

// enterGRPC is gate.enter for a call: its credentials are the token alone, and etcd checks it again.
func (h *handler) enterGRPC(r *http.Request) error {
	if err := h.gate.certificate(r); err != nil {
		return err
	}
	if err := h.gate.operator(r); err != nil {
		return err
	}
	token := r.Header.Get("Token")
	if token == "" {
		token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if token == "" {
		return h.gate.stranger(r)
	}
	enabled, err := h.backend.authEnabled(r.Context())
	if err != nil {
		return err
	}
	if !enabled {
		return h.gate.stranger(r)
	}
	valid, err := h.backend.validToken(r.Context(), token)
	if err == nil && !valid {
		err = rpctypes.ErrInvalidAuthToken // in etcd's words, on which its clients log in again
	}
	return err
}

// authenticateGRPC counts failed logins as HTTP's are counted.
func (h *handler) authenticateGRPC(w http.ResponseWriter, r *http.Request, etcd http.Handler) {
	if err := h.gate.certificate(r); err != nil {
		refuseGRPC(w, codes.PermissionDenied, err.Error())
		return
	}
	if err := readAhead(w, r); err != nil {
		refuseGRPC(w, codes.InvalidArgument, err.Error())
		return
	}
	err := h.store.logins.attempt(r.Context(), peerOf(r.RemoteAddr), func() error {
		etcd.ServeHTTP(w, r)
		if w.Header().Get("Grpc-Status") == strconv.Itoa(int(codes.InvalidArgument)) {
			return rpctypes.ErrAuthFailed
		}
		return nil
	})
	if refused := new(refusal); errors.As(err, &refused) {
		refuseGRPC(w, codes.ResourceExhausted, refused.reason)
	}
}

// readAhead takes the whole of a short call, so that a slow client does not hold up those who log in after it.
func readAhead(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTime))
	r.Body = http.MaxBytesReader(w, r.Body, mostLogin)
	body, err := readBody(r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func refuseEntry(w http.ResponseWriter, err error) {
	if errors.Is(err, rpctypes.ErrInvalidAuthToken) {
		refuseGRPC(w, codes.Unauthenticated, rpctypes.ErrInvalidAuthToken.Error())
		return
	}
	refused := refusalOf(err)
	refuseGRPC(w, grpcCode(refused.status), refused.reason)
}

// refuseGRPC answers a call with nothing but why.
func refuseGRPC(w http.ResponseWriter, code codes.Code, reason string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(code)))
	w.Header().Set("Grpc-Message", headerText(reason))
	w.WriteHeader(http.StatusOK)
}

func grpcCode(status int) codes.Code {
	switch status {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	}
	return codes.Unavailable
}
