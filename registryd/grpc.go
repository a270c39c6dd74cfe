package registryd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/envharness/envharness/registryd/listen"
	"github.com/envharness/envharness/registryd/node"
)

// The calls of etcd's protocol that are open to those who have no token yet, and how large a call is.
const (
	mostLogin        = 64 << 10 // bytes of it
	mostCall         = 2 << 20  // etcd takes 1.5 MiB
	grpcAuthenticate = "/etcdserverpb.Auth/Authenticate"
	grpcHealth       = "/grpc.health.v1.Health/"
)

// isGRPC recognizes etcd's protocol.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// serveGRPC hands a call to etcd's own server.
func (h *handler) serveGRPC(w http.ResponseWriter, r *http.Request) {
	etcd := h.node.GRPC()
	if etcd == nil {
		refuseGRPC(w, codes.Unimplemented, "etcd clients go to etcd itself: this registry stands in front of it for HTTP only")
		return
	}
	if new(http.CrossOriginProtection).Check(r) != nil { // no browser speaks this, as far as is known
		h.metrics.refused("origin")
		refuseGRPC(w, codes.PermissionDenied, "another web page may not call this")
		return
	}
	change := h.rights.change()
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
	if goesOn(r.URL.Path) {
		h.serveStream(w, r, etcd, change)
		return
	}
	h.serveCall(w, r, etcd)
}

// goesOn knows the calls that last: a client goes on to say more, or to be told more. All others are said and
// answered at once.
func goesOn(call string) bool {
	switch call {
	case "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Maintenance/Snapshot",
		"/grpc.health.v1.Health/Watch":
		return true
	}
	return false
}

// serveStream lets a call go on while its client takes what it is sent and may have it: etcd asks neither again.
func (h *handler) serveStream(w http.ResponseWriter, r *http.Request, etcd http.Handler, change <-chan struct{}) {
	ctx, cancel := h.whileEntitled(r.Context(), change, func() bool { return h.enterGRPC(r) == nil })
	defer cancel()
	stuck := newLimit(w, (*http.ResponseController).SetWriteDeadline)
	defer stuck.end()
	etcd.ServeHTTP(&timedWriter{w, http.NewResponseController(w), stuck}, r.WithContext(ctx))
}

// serveCall reads a call whole, so that a slow one holds up nobody, and counts its answer as one that is on its
// way until the client has it.
func (h *handler) serveCall(w http.ResponseWriter, r *http.Request, etcd http.Handler) {
	reading, answering := newLimit(w, (*http.ResponseController).SetReadDeadline), newLimit(w, (*http.ResponseController).SetWriteDeadline)
	defer reading.end()
	defer answering.end()
	reading.start(h.times.body)
	answering.start(h.times.body + h.times.answer)
	body, done, err := h.readCall(w, r, mostCall)
	if err != nil {
		refuseEntry(w, err)
		return
	}
	defer done()
	var gives []func()
	defer func() {
		for _, give := range gives {
			give()
		}
	}()
	ctx := node.WithRoom(r.Context(), func(size int) error {
		give, ok := h.room.takeNow(listen.ClientOf(r.Context()), int64(size))
		if !ok {
			return errNoRoom
		}
		gives = append(gives, give) // etcd makes one answer, before ServeHTTP returns
		return nil
	})
	r.Body = io.NopCloser(bytes.NewReader(body))
	etcd.ServeHTTP(w, r.WithContext(ctx))
}

func (h *handler) readCall(w http.ResponseWriter, r *http.Request, most int64) (body []byte, done func(), err error) {
	head := make([]byte, 5) // of a message: whether it is compressed, and its length
	r.Body = http.MaxBytesReader(w, r.Body, most)
	n, err := io.ReadFull(r.Body, head)
	if err != nil { // etcd says what is wrong
		return head[:n], func() {}, nil
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > most-int64(len(head)) {
		return nil, nil, problem(http.StatusRequestEntityTooLarge, "%s", rpctypes.ErrRequestTooLarge.Error())
	}
	done, err = h.bodies.take(r.Context(), listen.ClientOf(r.Context()), size)
	if err != nil {
		return nil, nil, err
	}
	body = make([]byte, len(head)+int(size))
	n, err = io.ReadFull(r.Body, body[copy(body, head):])
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		done()
		return nil, nil, problem(http.StatusBadRequest, "the call did not come whole")
	}
	return body[:len(head)+n], done, nil
}

// timedWriter cuts off a client that does not take what it is sent. It may take its time to be sent something.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stuck   *limit
}

func (w *timedWriter) Write(data []byte) (int, error) {
	w.stuck.start(stuckTime)
	defer w.stuck.stop()
	return w.ResponseWriter.Write(data)
}

func (w *timedWriter) Flush() {
	w.stuck.start(stuckTime)
	defer w.stuck.stop()
	_ = w.control.Flush()
}

func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// limit is a deadline of a call. One of http.ResponseController that is set in advance takes two turns of the goroutine
// that serves the connection each time, which is as much as a call itself; this is a timer, and sets one that is over.
type limit struct {
	timer *time.Timer
	lock  sync.Mutex
	ended bool // the handler has returned, or will
}

// newLimit makes one that is not started. The handler ends it before it returns.
func newLimit(w http.ResponseWriter, set func(*http.ResponseController, time.Time) error) *limit {
	l := &limit{}
	l.timer = time.AfterFunc(math.MaxInt64, func() {
		l.lock.Lock()
		defer l.lock.Unlock()
		if !l.ended {
			_ = set(http.NewResponseController(w), time.Unix(1, 0))
		}
	})
	return l
}

func (l *limit) start(after time.Duration) { l.timer.Reset(after) }

func (l *limit) stop() { l.timer.Stop() }

func (l *limit) end() {
	l.timer.Stop()
	l.lock.Lock()
	defer l.lock.Unlock()
	l.ended = true
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
		return h.gate.anonymous(r)
	}
	enabled, err := h.node.AuthEnabled(r.Context())
	if err != nil {
		return err
	}
	if !enabled {
		return h.gate.anonymous(r)
	}
	valid, err := h.node.ValidToken(r.Context(), token)
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
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTime))
	body, done, err := h.readCall(w, r, mostLogin)
	if err == nil {
		defer done()
		err = h.countLogin(w, r, etcd, body)
	}
	if err != nil && !node.IsDenial(err) {
		refuseEntry(w, err)
	}
}

// countLogin gives a denial that etcd has told already, and other errors that are to be told.
func (h *handler) countLogin(w http.ResponseWriter, r *http.Request, etcd http.Handler, body []byte) error {
	user, err := loginUser(body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return h.store.logins.attempt(r.Context(), listen.ClientOf(r.Context()).Peer, user, func() error {
		etcd.ServeHTTP(w, r)
		if w.Header().Get("Grpc-Status") == strconv.Itoa(int(codes.InvalidArgument)) {
			return rpctypes.ErrAuthFailed
		}
		return nil
	})
}

// loginUser reads who logs in.
func loginUser(body []byte) (string, error) {
	const head = 5
	if len(body) < head || body[0] != 0 {
		return "", problem(http.StatusBadRequest, "a login comes whole and not compressed")
	}
	login := new(etcdserverpb.AuthenticateRequest)
	if err := proto.Unmarshal(body[head:], login); err != nil {
		return "", problem(http.StatusBadRequest, "this is no login")
	}
	return login.Name, nil
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
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return codes.InvalidArgument
	}
	return codes.Unavailable
}
