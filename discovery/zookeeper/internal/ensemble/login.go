package ensemble

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
)

// firstLogin logs in before anything is asked.
func (s *Session) firstLogin() {
	err := s.addLogin(s.login)
	if errors.Is(err, zk.ErrAuthFailed) {
		s.end(err)
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.loggedIn = err == nil
	if err == nil && s.connected && !s.over {
		close(s.up)
	}
}

func (s *Session) addLogin(login discovery.Credentials) error {
	return s.conn.AddAuth("digest", []byte(login.User+":"+string(login.Password)))
}

// user is whom the session was logged in as last.
func (s *Session) user() discovery.Credentials {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.login
}

// loginAnew is for who was denied something: it logs in with what the user file now says and reports whether
// that is somebody else than who was denied. To ZooKeeper a session is all users at once whom it has logged in.
func (s *Session) loginAnew(ctx context.Context, wasDenied discovery.Credentials) bool {
	s.loginLock.Lock()
	defer s.loginLock.Unlock()
	if s.user() != wasDenied {
		return true // another call has just done it
	}
	login, err := s.ensemble.config.Login()
	if err != nil || login == wasDenied || login.IsZero() {
		return false
	}
	if _, err := ask(ctx, s, func(*zk.Conn) (any, error) { return nil, s.addLogin(login) }); err != nil {
		return false
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.login = login
	return true
}
