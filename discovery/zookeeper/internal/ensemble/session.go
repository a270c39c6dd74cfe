package ensemble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// Session is one session at the ensemble. It begins when it is first connected, outlives broken connections
// unless it is fleeting, and ends when the server says that it has expired or when it is closed.
type Session struct {
	ensemble *Ensemble
	asked    time.Duration // its time-out
	fleeting bool          // it ends with its first connection
	room     int           // for a request, in bytes
	watches  *watches      // of what it watches

	conn   *zk.Conn
	events <-chan zk.Event
	life   context.Context // of dialling
	stop   context.CancelFunc
	heard  atomic.Int64 // when the server last said something
	ended  chan struct{}
	gone   chan struct{} // closed when nothing of it is left to run

	dialNow    chan struct{} // receives when it is to dial without a rest
	dialWanted chan struct{} // the same, for a call that waits

	// Of the library's goroutine that dials.
	round   *round
	backoff discovery.Backoff
	refused int // how many servers in a row have closed the connection instead of giving a session

	loginLock sync.Mutex // of logging in anew

	lock      sync.Mutex
	giveUp    context.CancelFunc // the dialling under way
	socket    *socket
	login     discovery.Credentials
	loggedIn  bool
	connected bool
	up        chan struct{} // closed while it is connected and logged in
	id        int64
	granted   time.Duration
	over      bool
	why       error
	calls     sync.WaitGroup
}

// The library's buffers: what it reads and writes at a time. Registrations are many and need little: LeastRoom is what
// all is around their records takes.
const (
	sharedRoom = 3 << 19
	LeastRoom  = 4 << 10
)

// beginLocked begins a session, under the lock of the ensemble.
func (e *Ensemble) beginLocked(asked time.Duration, fleeting bool, room int) (*Session, error) {
	if e.closed {
		return nil, driver.ErrClosed
	}
	login, err := e.config.Login()
	if err != nil {
		return nil, err
	}
	s := &Session{
		ensemble:   e,
		asked:      asked,
		fleeting:   fleeting,
		room:       room,
		watches:    newWatches(),
		login:      login,
		dialNow:    make(chan struct{}, 1),
		dialWanted: make(chan struct{}, 1),
		up:         make(chan struct{}),
		ended:      make(chan struct{}),
		gone:       make(chan struct{}),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.round = e.hosts.round(s.life)
	answers := room
	if fleeting {
		answers = 0 // any size: it reads what others wrote
	}
	s.lock.Lock() // the library's goroutines may be there before this one has noted them
	defer s.lock.Unlock()
	s.conn, s.events, err = zk.Connect(e.hosts.addresses, asked,
		zk.WithDialer(s.dial),
		zk.WithHostProvider(s.round),
		zk.WithLogger(logger{e.config.Log}),
		zk.WithLogInfo(false),
		zk.WithEventCallback(s.event),
		zk.WithMaxConnBufferSize(room),
		zk.WithMaxBufferSize(answers),
	)
	if err != nil {
		s.stop()
		return nil, err
	}
	e.sessions.Add(1)
	return s, nil
}

// logger takes what the library says: connections that come and go, which the errors of calls tell too.
type logger struct{ log *slog.Logger }

func (l logger) Printf(format string, args ...any) {
	l.log.Debug("zookeeper client", "message", fmt.Sprintf(format, args...))
}

// dial connects to one server, for the library.
func (s *Session) dial(network, address string, _ time.Duration) (net.Conn, error) {
	e := s.ensemble
	if err := s.rest(); err != nil {
		return nil, err
	}
	try, giveUp := context.WithCancel(s.life)
	defer giveUp()
	s.lock.Lock()
	s.giveUp = giveUp
	s.lock.Unlock()
	conn, err := e.hosts.Dial(try, network, address, e.config.TLSConfig)
	if s.life.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return nil, s.life.Err()
	}
	if err != nil {
		return nil, err
	}
	k := &socket{
		Conn:  conn,
		limit: time.Now().Add(max(discovery.ConnectTimeout, e.config.Timeout/time.Duration(len(e.hosts.addresses)))),
		noted: func(err error) { s.shook(address, err) },
		heard: &s.heard,
		young: s.refused >= len(e.hosts.addresses),
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.over {
		conn.Close()
		return nil, s.why
	}
	s.socket = k
	return k, nil
}

// shook takes how a handshake went.
func (s *Session) shook(address string, err error) {
	s.ensemble.hosts.Note(address, err)
	if err == nil {
		s.refused = 0
	} else {
		s.refused++
	}
}

// rest waits before another round of the servers. A session must not lose its life by that.
func (s *Session) rest() error {
	if !s.round.isAnother() {
		return nil
	}
	timer := time.NewTimer(min(s.backoff.Next(), s.asked/4))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.dialWanted:
	case <-s.dialNow:
		s.backoff.Reset()
	case <-s.life.Done():
	}
	return s.life.Err()
}

// ReconnectNow makes a session that has begun, but is not connected, try the next server at once, for who has no time
// to wait until a rest is over or a server that stands still is given up.
func (s *Session) ReconnectNow() {
	wake(s.dialNow)
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.connected {
		s.giveUp()
		s.socket.Close()
	}
}

// reconnect makes a session that rests dial at once; the rests after that are as long as they would be.
func (s *Session) reconnect() {
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.connected {
		wake(s.dialWanted)
	}
}

// isKept reports whether the session holds what is not to be lost: it is worth waiting for, whoever refuses it now.
func (s *Session) isKept() bool {
	id, _ := s.Identity()
	return !s.fleeting && id != 0
}

// event takes an event of the library, in its own goroutines: it must not block.
func (s *Session) event(e zk.Event) {
	if e.Type != zk.EventSession {
		s.watches.deliver(e)
		return
	}
	switch e.State {
	case zk.StateHasSession:
		s.backoff.Reset()
		s.connect()
	case zk.StateDisconnected:
		s.disconnect()
	case zk.StateExpired:
		s.end(zk.ErrSessionExpired)
	}
}

func (s *Session) connect() {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.over {
		return
	}
	s.connected, s.id, s.granted = true, s.conn.SessionID(), s.socket.granted
	if s.login.IsZero() || s.loggedIn { // the library logs in again by itself
		close(s.up)
		return
	}
	s.calls.Go(s.firstLogin)
}

func (s *Session) disconnect() {
	s.lock.Lock()
	if s.connected {
		s.connected = false
		select {
		case <-s.up:
			s.up = make(chan struct{})
		default:
		}
	}
	lost := s.fleeting && s.id != 0
	s.lock.Unlock()
	if lost {
		s.end(zk.ErrConnectionClosed)
	}
}

// end ends the session for a reason. What of it remains, at the server too, ends soon.
func (s *Session) end(why error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.over {
		return
	}
	s.over, s.why = true, why
	close(s.ended)
	s.stop()
	go s.finish()
}

func (s *Session) finish() {
	defer s.ensemble.sessions.Done()
	s.conn.Close() // it tells the server, if there is a connection, and waits for a second at most
	s.hangUp()
	for range s.events { // until the library has done
	}
	s.calls.Wait()
	close(s.gone)
}

// hangUp breaks the connection.
func (s *Session) hangUp() {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.socket != nil {
		s.socket.Close()
	}
}

// Close ends the session at the server too, with its ephemeral nodes. It returns when that is done, or could
// not be.
func (s *Session) Close() {
	s.end(driver.ErrClosed)
	<-s.gone
}

// Abandon ends the session here; at the server it lasts until its time-out.
func (s *Session) Abandon() {
	s.stop() // before hanging up: it must not dial again
	s.hangUp()
	s.Close()
}

// IsOver reports whether the session has ended.
func (s *Session) IsOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Only opens this session, and none after it: what it watches would be lost.
func (s *Session) Only(context.Context) (*Session, error) {
	if s.IsOver() {
		return nil, driver.ErrGap
	}
	return s, nil
}

// Ended gives a channel that is closed when the session has ended.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// NotifyLoss sends to a channel of one place when the session has ended otherwise than by Close. It returns then.
func (s *Session) NotifyLoss(lost chan struct{}) {
	<-s.ended
	if !errors.Is(s.why, driver.ErrClosed) {
		wake(lost)
	}
}

// Room is how long a request may be, in bytes.
func (s *Session) Room() int { return s.room }

// Identity gives the session's number, 0 before it has begun, and its time-out.
func (s *Session) Identity() (int64, time.Duration) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.id, s.granted
}

// ErrEnded is the answer of a session that is over.
var ErrEnded = errors.New("the session has ended")

// Await blocks until the session is connected and logged in.
func (s *Session) Await(ctx context.Context) error {
	s.lock.Lock()
	up := s.up
	s.lock.Unlock()
	select {
	case <-s.ended:
		if errors.Is(s.why, zk.ErrAuthFailed) {
			return s.why
		}
		return ErrEnded
	case <-up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask calls the library, which knows no contexts. When ctx ends first, the call goes on without anybody.
func ask[T any](ctx context.Context, s *Session, f func(*zk.Conn) (T, error)) (T, error) {
	var none T
	if err := s.Await(ctx); err != nil {
		return none, err
	}
	s.lock.Lock()
	if s.over {
		s.lock.Unlock()
		return none, ErrEnded
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	s.calls.Go(func() {
		value, err := f(s.conn)
		answers <- answer{value, err}
	})
	s.lock.Unlock()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
