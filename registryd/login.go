package registryd

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/envharness/envharness/registryd/listen"
	"github.com/envharness/envharness/registryd/node"
)

// caller is who a request comes from, as etcd is told. The zero caller is nobody in particular.
type caller struct {
	token          string // one of etcd's, or
	user, password string
	peer           string // where the request came from, for the count of failed logins
}

func (c caller) anonymous() bool { return c.token == "" && c.user == "" }

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// readCaller reads basic authentication, or a token of etcd's as Bearer or, as etcd itself takes it, alone.
func readCaller(r *http.Request) caller {
	peer := listen.ClientOf(r.Context()).Peer
	if user, password, ok := r.BasicAuth(); ok {
		return caller{user: user, password: password, peer: peer}
	}
	text := r.Header.Get("Authorization")
	if scheme, token, found := strings.Cut(text, " "); found {
		if !strings.EqualFold(scheme, "Bearer") {
			return caller{peer: peer}
		}
		text = strings.TrimSpace(token)
	}
	return caller{token: text, peer: peer}
}

// The tokens that are remembered. etcd forgets one that is not used for five minutes.
const (
	mostLogins   = 1024
	loginsAtOnce = 2                      // hashing a password is slow on purpose
	failureTime  = 300 * time.Millisecond // is what a failed login takes at least, whatever etcd found
)

// logins turns users and passwords into tokens of etcd's, and remembers them: etcd takes a tenth of a second to
// check a password. Many who log in as one user at a time are one login.
type logins struct {
	node     node.Node
	metrics  *metrics
	attempts *attempts
	turns    chan struct{}
	flights  batches[loginKey, string]

	lock   sync.Mutex
	tokens map[loginKey]string
}

func newLogins(n node.Node, m *metrics) *logins {
	return &logins{
		node:     n,
		metrics:  m,
		attempts: newAttempts(),
		turns:    make(chan struct{}, loginsAtOnce),
		tokens:   map[loginKey]string{},
	}
}

// loginKey is what a login is remembered by: its password is not.
type loginKey [sha256.Size]byte

func (c caller) key() loginKey {
	user := sha256.Sum256([]byte(c.user))
	password := sha256.Sum256([]byte(c.password))
	return sha256.Sum256(append(user[:], password[:]...))
}

// token gives what etcd is told of a caller; nothing of nobody, and nothing when etcd asks for no users. One that
// is remembered may have ended: see verified.
func (l *logins) token(ctx context.Context, c caller) (string, error) {
	if c.user == "" {
		return c.token, nil
	}
	if token := l.remembered(c); token != "" {
		return token, nil
	}
	return l.authenticate(ctx, c)
}

// verified is token, of which etcd says that it is good at this moment.
func (l *logins) verified(ctx context.Context, c caller) (string, error) {
	token, err := l.token(ctx, c)
	if err != nil || token == "" {
		return token, err
	}
	valid, err := l.node.ValidToken(ctx, token)
	switch {
	case err != nil || valid:
		return token, err
	case l.forget(c, token):
		return l.authenticate(ctx, c)
	}
	return "", rpctypes.ErrInvalidAuthToken
}

func (l *logins) remembered(c caller) string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.tokens[c.key()]
}

func (l *logins) authenticate(ctx context.Context, c caller) (string, error) {
	key := c.key()
	return l.flights.join(ctx, key, func(ctx context.Context) (token string, err error) {
		if token := l.remembered(c); token != "" { // since this one waits
			return token, nil
		}
		err = l.attempt(ctx, c.peer, c.user, func() error {
			response, err := l.node.Client().Authenticate(ctx, c.user, c.password)
			if err == nil {
				token = response.Token
			}
			return err
		})
		if errors.Is(err, rpctypes.ErrAuthNotEnabled) {
			return "", nil
		}
		if err == nil {
			l.remember(key, token)
		}
		return token, err
	})
}

func (l *logins) remember(key loginKey, token string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.tokens) >= mostLogins {
		clear(l.tokens)
	}
	l.tokens[key] = token
}

// forget drops a token that etcd does not know any more, and reports whether the caller can have another.
func (l *logins) forget(c caller, token string) bool {
	if c.user == "" {
		return false
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.tokens[c.key()] == token {
		delete(l.tokens, c.key())
	}
	return true
}

// attempt lets somebody log in, later if that failed too often before. Few do so at a time, and one of each peer,
// which also keeps a peer from failing a hundred times at once.
func (l *logins) attempt(ctx context.Context, peer, user string, login func() error) error {
	who := attemptKey{peer, sha256.Sum256([]byte(user))}
	leave, err := l.attempts.enter(ctx, who, func() { l.metrics.refused("delayed") })
	if err != nil {
		l.metrics.refused("attempts")
		return err
	}
	defer leave()
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	begin := time.Now()
	err = login()
	<-l.turns
	if !node.IsDenial(err) {
		if err == nil {
			l.attempts.succeeded(who)
		}
		return err
	}
	l.attempts.failed(who)
	l.metrics.refused("login")
	leave()
	select {
	case <-time.After(time.Until(begin.Add(failureTime))):
	case <-ctx.Done():
	}
	return err
}
