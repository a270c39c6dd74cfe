package registryd

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// caller is who a request comes from, as etcd will be told. The zero caller is nobody in particular.
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
	peer := peerOf(r.RemoteAddr)
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
	loginsAtOnce = 2 // hashing a password is slow on purpose
)

// logins turns users and passwords into tokens of etcd's, and remembers them: etcd takes a tenth of a second to
// check a password.
type logins struct {
	backend  backend
	metrics  *metrics
	attempts *attempts
	turns    chan struct{}

	lock   sync.Mutex
	tokens map[[sha256.Size]byte]string
}

func newLogins(b backend, m *metrics) *logins {
	return &logins{
		backend:  b,
		metrics:  m,
		attempts: newAttempts(),
		turns:    make(chan struct{}, loginsAtOnce),
		tokens:   map[[sha256.Size]byte]string{},
	}
}

// key is what a login is remembered by: its password is not.
func (c caller) key() [sha256.Size]byte {
	user := sha256.Sum256([]byte(c.user))
	password := sha256.Sum256([]byte(c.password))
	return sha256.Sum256(append(user[:], password[:]...))
}

// token gives what etcd is told of a caller; nothing of nobody, and nothing when etcd asks for no users.
func (l *logins) token(ctx context.Context, c caller) (string, error) {
	if c.user == "" {
		return c.token, nil
	}
	l.lock.Lock()
	token := l.tokens[c.key()]
	l.lock.Unlock()
	if token != "" {
		return token, nil
	}
	return l.authenticate(ctx, c)
}

func (l *logins) authenticate(ctx context.Context, c caller) (token string, err error) {
	err = l.attempt(ctx, c.peer, func() error {
		response, err := l.backend.client().Authenticate(ctx, c.user, c.password)
		if err == nil {
			token = response.Token
		}
		return err
	})
	if errors.Is(err, rpctypes.ErrAuthNotEnabled) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.tokens) >= mostLogins {
		clear(l.tokens)
	}
	l.tokens[c.key()] = token
	return token, nil
}

// attempt lets a peer log in, unless it failed too often. Few do so at a time, which also keeps a peer from
// failing a hundred times at once.
func (l *logins) attempt(ctx context.Context, peer string, login func() error) error {
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if wait := l.attempts.wait(peer); wait > 0 {
		l.metrics.refused("attempts")
		return tooMany(wait)
	}
	err := login()
	if isDenial(err) {
		l.attempts.failed(peer)
		l.metrics.refused("login")
	}
	return err
}

func tooMany(wait time.Duration) error {
	seconds := strconv.Itoa(int(wait/time.Second) + 1)
	return &refusal{
		status: http.StatusTooManyRequests,
		reason: "too many failed logins, try again in " + seconds + " s",
		header: http.Header{"Retry-After": {seconds}},
	}
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

// How often a peer may fail to log in.
const (
	failuresAllowed = 5
	failuresWindow  = time.Minute
	mostPeers       = 10000
)

// attempts counts failed logins by peer.
type attempts struct {
	lock   sync.Mutex
	byPeer map[string]*failures
}

type failures struct {
	count int
	since time.Time
}

func newAttempts() *attempts { return &attempts{byPeer: map[string]*failures{}} }

// wait is how long a peer that failed too often has to.
func (a *attempts) wait(peer string) time.Duration {
	a.lock.Lock()
	defer a.lock.Unlock()
	f := a.byPeer[peer]
	if f == nil || f.count < failuresAllowed {
		return 0
	}
	return max(0, time.Until(f.since.Add(failuresWindow)))
}

func (a *attempts) failed(peer string) {
	a.lock.Lock()
	defer a.lock.Unlock()
	now := time.Now()
	f := a.byPeer[peer]
	if f == nil || now.Sub(f.since) > failuresWindow {
		a.prune(now)
		f = &failures{since: now}
		a.byPeer[peer] = f
	}
	f.count++
}

// prune keeps the memory bounded.
func (a *attempts) prune(now time.Time) {
	if len(a.byPeer) < mostPeers {
		return
	}
	for peer, f := range a.byPeer {
		if now.Sub(f.since) > failuresWindow {
			delete(a.byPeer, peer)
		}
	}
	if len(a.byPeer) >= mostPeers {
		clear(a.byPeer)
	}
}
