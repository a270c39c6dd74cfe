package zookeeper

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
)

// lock is an ephemeral node with a number in the election's node, on a session of its own. The lowest has it, and
// each waits for the one before it.
type lock struct {
	backend   *backend
	directory string
	ttl       time.Duration
	session   *ensemble.Session // nil: none
	mark      string            // begins the node's name, so that it is known and never comes again
	node      string            // its name
	lost      chan struct{}     // receives when a session is over
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{backend: b, directory: key, ttl: ttl, lost: make(chan struct{}, 1)}
}

// Lost receives when the session is over.
func (l *lock) Lost() <-chan struct{} { return l.lost }

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	if l.session == nil || l.session.IsOver() {
		s, err := l.backend.Begin(l.ttl, ensemble.LeastRoom+4*len(l.directory))
		if err != nil {
			return driver.Grant{}, err
		}
		l.session, l.mark = s, rand.Text()+"-"
		go s.NotifyLoss(l.lost)
	}
	err := ensemble.Do(ctx, l.backend.Ensemble, l.session.Only, l.stand)
	_, granted := l.session.Identity()
	return driver.Grant{TTL: granted, Token: l.token()}, lostMeansUnavailable(err)
}

// stand makes the node, once: a try that had no answer may have made it. It is ErrConflict unless that is the first.
func (l *lock) stand(ctx context.Context, s *ensemble.Session) error {
	if err := s.Sync(ctx); err != nil {
		return err
	}
	line, err := l.line(ctx, s.Children)
	if err != nil && !ensemble.Missing(err) {
		return err
	}
	if l.place(line) < 0 {
		made, err := s.Create(ctx, l.directory+"/"+l.mark, nil, zk.FlagEphemeral|zk.FlagSequence)
		if err != nil {
			return err
		}
		l.node = made[strings.LastIndex(made, "/")+1:]
		if line, err = l.line(ctx, s.Children); err != nil {
			return err
		}
	}
	switch at := l.place(line); {
	case at < 0:
		return discovery.Mark(discovery.ErrUnavailable, ensemble.ErrEnded) // or somebody removed it
	case at > 0:
		return discovery.ErrConflict
	default:
		l.node = line[0]
		return nil
	}
}

// lostMeansUnavailable: who has lost its session stands again.
func lostMeansUnavailable(err error) error {
	if driver.IsGap(err) {
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	return err
}

// line gives those who stand, first the one who leads. What others may have put beside them stands not.
func (l *lock) line(ctx context.Context, children func(context.Context, string) (ensemble.List, error)) ([]string, error) {
	below, err := children(ctx, l.directory)
	if err != nil {
		return nil, err
	}
	line := slices.DeleteFunc(below.Names, func(name string) bool { return number(name) == "" })
	slices.SortFunc(line, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return line, nil
}

// number is the ten digits that the server appended to a name; empty if it did not.
func number(name string) string {
	digits := name[strings.LastIndex(name, "-")+1:]
	if len(digits) != 10 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return digits
}

// token is the number of the own node, from 1 on: the server counts from 0 and never goes back.
func (l *lock) token() int64 {
	n, err := strconv.ParseInt(number(l.node), 10, 64)
	if err != nil {
		return 0
	}
	return n + 1
}

// place gives the own place in the line, -1 if there is none.
func (l *lock) place(line []string) int {
	return slices.IndexFunc(line, func(name string) bool { return strings.HasPrefix(name, l.mark) })
}

// WaitReleased blocks until what is before the own node has changed, or the connection that tells of it is lost.
func (l *lock) WaitReleased(ctx context.Context) error {
	shared, err := l.backend.Connected(ctx, l.backend.config.Timeout)
	if err != nil {
		return err
	}
	reader := shared.Reader()
	defer reader.Close()
	err = ensemble.Do(ctx, l.backend.Ensemble, shared.Only, func(ctx context.Context, s *ensemble.Session) error { return l.watchBefore(ctx, s, reader) })
	if err != nil {
		return ignoreGap(err)
	}
	select {
	case <-reader.Changed():
	case <-shared.Ended():
	case <-l.session.Ended():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func ignoreGap(err error) error {
	if driver.IsGap(err) {
		return nil
	}
	return err
}

func (l *lock) watchBefore(ctx context.Context, s *ensemble.Session, reader *ensemble.Reader) error {
	if err := s.Sync(ctx); err != nil {
		return err
	}
	line, err := l.line(ctx, s.Children)
	if err != nil {
		return err
	}
	at := l.place(line)
	if at <= 0 {
		reader.Wake()
		return nil
	}
	before := ensemble.Join(l.directory, line[at-1])
	reader.Add(before)
	exists, err := s.ExistsWatched(ctx, before)
	if err == nil && !exists {
		reader.Wake()
	}
	return err
}

func (l *lock) Renew(ctx context.Context) error {
	err := ensemble.Do(ctx, l.backend.Ensemble, l.session.Only, func(ctx context.Context, s *ensemble.Session) error {
		stat, err := s.Stat(ctx, ensemble.Join(l.directory, l.node))
		if err == nil && stat == nil {
			err = driver.ErrNotLeading
		}
		return err
	})
	if driver.IsGap(err) {
		return driver.ErrNotLeading
	}
	return err
}

// Release ends the session, and with it the node of the election.
func (l *lock) Release(ctx context.Context) error {
	if l.session == nil {
		return nil
	}
	var err error
	if id, _ := l.session.Identity(); id != 0 && l.node != "" {
		l.session.ReconnectNow()
		err = ensemble.Do(ctx, l.backend.Ensemble, l.session.Only, func(ctx context.Context, s *ensemble.Session) error {
			return ensemble.IgnoreMissing(s.Delete(ctx, ensemble.Join(l.directory, l.node), -1))
		})
	}
	l.session.Close()
	return ignoreGap(err) // it was lost before
}

// fence is that the own node still stands, which a server only lets be while its session lasts.
func (l *lock) fence() *zk.CheckVersionRequest {
	return &zk.CheckVersionRequest{Path: ensemble.Join(l.directory, l.node), Version: 0}
}

// change makes a change that is fenced.
func (l *lock) change(ctx context.Context, step func(ctx context.Context, s *ensemble.Session) error) error {
	return ensemble.Do(ctx, l.backend.Ensemble, l.backend.Shared, func(ctx context.Context, s *ensemble.Session) error {
		err := step(ctx, s)
		if errors.Is(err, ensemble.ErrFence) {
			err = driver.ErrNotLeading
		}
		return err
	})
}

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.change(ctx, func(ctx context.Context, s *ensemble.Session) error { return s.Write(ctx, key, value, l.fence()) })
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.change(ctx, func(ctx context.Context, s *ensemble.Session) error {
		_, at, err := s.Together(ctx, l.fence(), &zk.DeleteRequest{Path: key, Version: -1})
		switch {
		case err != nil && at == 0:
			return ensemble.ErrFence
		case at == 1:
			return ensemble.IgnoreMissing(err)
		}
		return err
	})
}
