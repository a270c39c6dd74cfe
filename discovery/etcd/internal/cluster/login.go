package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery"
)

// maxLogins is how often one call logs in again before it fails.
const maxLogins = 2

// loginTime bounds a login. Calls that wait for it end in their own time, and the next ones find it under way or done:
// a busy etcd, which takes seconds for each, is not asked for more of them.
const loginTime = 30 * time.Second

// login is the token that every call and stream to etcd carries. The first call takes it for all of them, and
// a call that etcd refuses it for takes another: tokens expire when they are not used for etcd's
// --auth-token-ttl.
//
// The official client can do neither: it logs in again for each stream, and sends its old token along, for
// which etcd up to 3.4 refuses the login too.
type login struct {
	credentials func() (discovery.Credentials, error)
	life        context.Context // ends with the connection
	limit       time.Duration   // of one login

	lock    sync.Mutex
	current token
	count   int
	running *attempt // nil: none is under way
	refused error    // what the last login ended with
	whose   discovery.Credentials
	until   time.Time // when the next login of the same user may begin
	backoff discovery.Backoff
}

// token is what a login gave.
type token struct {
	number int    // counts logins; 0: there was none
	text   string // empty: there are no credentials, or etcd has no users
	of     discovery.Credentials
}

// attempt is one login that calls wait for.
type attempt struct {
	done  chan struct{}
	token token
	err   error
}

// onto adds the token to a call.
func (t token) onto(ctx context.Context) context.Context {
	if t.text == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, t.text)
}

// unary adds the token to a call, and tries again with another when etcd refuses it.
func (l *login) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if method == pb.Auth_Authenticate_FullMethodName {
		return invoke(ctx, method, request, reply, conn, options...)
	}
	for logins := 0; ; logins++ {
		t, err := l.get(ctx, conn)
		if err != nil {
			return err
		}
		err = invoke(t.onto(ctx), method, request, reply, conn, options...)
		if err == nil || !l.outdated(t, err) {
			return err
		}
		if logins == maxLogins {
			// in words that the official client does not take for a reason to try 100 times
			return status.Error(codes.Aborted, "etcd refuses the token that it gave just now: "+rpctypes.ErrorDesc(err))
		}
		l.drop(t)
	}
}

// stream adds the token to a stream, and tells a watch that has lost its connection so: see watchStream.
func (l *login) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	t, err := l.get(ctx, conn)
	if err != nil {
		return nil, err
	}
	stream, err := open(t.onto(ctx), desc, conn, method, options...)
	if err == nil && method == pb.Watch_Watch_FullMethodName {
		stream = &watchStream{stream}
	}
	return stream, err
}

// number counts the logins.
func (l *login) number() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.count
}

// get gives the token. It waits for a login under way, which goes on when ctx ends.
func (l *login) get(ctx context.Context, conn *grpc.ClientConn) (token, error) {
	a, t := l.begin(conn)
	if a == nil {
		return t, nil
	}
	select {
	case <-a.done:
		return a.token, a.err
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
}

// begin gives the token, or the attempt to get one.
func (l *login) begin(conn *grpc.ClientConn) (*attempt, token) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.current.number != 0 {
		return nil, l.current
	}
	if l.running != nil {
		return l.running, token{}
	}
	a := &attempt{done: make(chan struct{})}
	credentials, err := l.credentials()
	if err == nil && credentials == l.whose && time.Now().Before(l.until) {
		err = l.refused
	}
	if err != nil {
		a.err = err
		close(a.done)
		return a, token{}
	}
	if credentials.User == "" {
		l.count++
		l.current = token{number: l.count}
		return nil, l.current
	}
	l.running = a
	go l.run(a, conn, credentials)
	return a, token{}
}

// run logs in.
func (l *login) run(a *attempt, conn *grpc.ClientConn, credentials discovery.Credentials) {
	ctx, cancel := context.WithTimeout(l.life, l.limit)
	defer cancel()
	text, err := authenticate(ctx, conn, credentials)
	l.lock.Lock()
	defer l.lock.Unlock()
	l.running = nil
	if a.err = err; err == nil {
		l.count++
		l.current = token{number: l.count, text: text, of: credentials}
		a.token = l.current
		l.refused, l.until = nil, time.Time{}
		l.backoff.Reset()
	} else if isDenial(err) {
		l.refused, l.whose = err, credentials
		l.until = time.Now().Add(l.backoff.Next())
	}
	close(a.done)
}

// authenticate gives a token; none when etcd has no users. While etcd is unreachable it tries again.
func authenticate(ctx context.Context, conn *grpc.ClientConn, credentials discovery.Credentials) (string, error) {
	request := &pb.AuthenticateRequest{Name: credentials.User, Password: string(credentials.Password)}
	var backoff discovery.Backoff
	for {
		response, err := pb.NewAuthClient(conn).Authenticate(ctx, request, grpc.WaitForReady(true))
		err = rpctypes.Error(err)
		switch {
		case errors.Is(err, rpctypes.ErrAuthNotEnabled):
			return "", nil
		case CodeOf(err) != codes.Unavailable || backoff.Wait(ctx) != nil:
			return response.GetToken(), err
		}
	}
}

// outdated reports whether another login may help against an error.
func (l *login) outdated(t token, err error) bool {
	known := rpctypes.Error(err)
	switch {
	case errors.Is(known, rpctypes.ErrInvalidAuthToken), errors.Is(known, rpctypes.ErrAuthOldRevision):
		return t.text != ""
	case errors.Is(known, rpctypes.ErrUserEmpty) && t.of.User != "":
		return true
	case isDenial(known):
		credentials, err := l.credentials()
		return err == nil && credentials != t.of
	}
	return false
}

// drop forgets a token, unless there is a newer one.
func (l *login) drop(t token) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.current.number == t.number {
		l.current = token{}
	}
}

// watchStream carries watches. When its connection breaks, it says so in a way for which the official client
// ends the watches: it would else resume them at their next revision, which a registry that has lost its
// data, or was restored from a backup, reaches only later or never.
type watchStream struct{ grpc.ClientStream }

func (s *watchStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	switch status.Code(err) {
	case codes.Unavailable, codes.Internal:
		return status.Error(codes.Aborted, "the watch was broken: "+rpctypes.ErrorDesc(err))
	}
	return err
}
