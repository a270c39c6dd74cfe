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
)

// lock is an ephemeral node with a number in the election's node, on a session of its own. The lowest has it, and
// each waits for the one before it.
type lock struct {
	backend   *backend
	directory string
	ttl       time.Duration
	session   *session      // nil: none
	mark      string        // begins the node's name, so that it is known and never comes again
	node      string        // its name
	lost      chan struct{} // receives when a session is over
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{backend: b, directory: key, ttl: ttl, lost: make(chan struct{}, 1)}
}

// Lost receives when the session is over.
func (l *lock) Lost() <-chan struct{} { return l.lost }

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	if l.session == nil || l.session.isOver() {
		s, err := l.backend.begin(l.ttl, leastRoom+4*len(l.directory))
		if err != nil {
			return driver.Grant{}, err
		}
		l.session, l.mark = s, rand.Text()+"-"
		go func() {
			<-s.ended
			wake(l.lost)
		}()
	}
	err := do(ctx, l.backend.ensemble, l.session.only, l.stand)
	_, granted := l.session.identity()
	return driver.Grant{TTL: granted, Token: l.token()}, lostMeansUnavailable(err)
}

// stand makes the node, once: a try that had no answer may have made it. It is ErrConflict unless that is the first.
func (l *lock) stand(ctx context.Context, s *session) error {
	if err := s.sync(ctx); err != nil {
		return err
	}
	line, err := l.line(ctx, s.children)
	if err != nil && !missing(err) {
		return err
	}
	if l.place(line) < 0 {
		made, err := s.create(ctx, l.directory+"/"+l.mark, nil, zk.FlagEphemeral|zk.FlagSequence)
		if err != nil {
			return err
		}
		l.node = made[strings.LastIndex(made, "/")+1:]
		if line, err = l.line(ctx, s.children); err != nil {
			return err
		}
	}
	switch at := l.place(line); {
	case at < 0:
		return discovery.Mark(discovery.ErrUnavailable, errEnded) // or somebody removed it
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
func (l *lock) line(ctx context.Context, children func(context.Context, string) (list, error)) ([]string, error) {
	below, err := children(ctx, l.directory)
	if err != nil {
		return nil, err
	}
	line := slices.DeleteFunc(below.names, func(name string) bool { return number(name) == "" })
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
	shared, err := l.backend.connected(ctx, l.backend.config.Timeout)
	if err != nil {
		return err
	}
	reader := shared.watches.reader()
	defer reader.close()
	err = do(ctx, l.backend.ensemble, shared.only, func(ctx context.Context, s *session) error { return l.watchBefore(ctx, s, reader) })
	if err != nil {
		return ignoreGap(err)
	}
	select {
	case <-reader.wake:
	case <-shared.ended:
	case <-l.session.ended:
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

func (l *lock) watchBefore(ctx context.Context, s *session, reader *reader) error {
	if err := s.sync(ctx); err != nil {
		return err
	}
	line, err := l.line(ctx, s.children)
	if err != nil {
		return err
	}
	at := l.place(line)
	if at <= 0 {
		wake(reader.wake)
		return nil
	}
	before := join(l.directory, line[at-1])
	reader.add(before)
	exists, err := s.existsWatched(ctx, before)
	if err == nil && !exists {
		wake(reader.wake)
	}
	return err
}

func (l *lock) Renew(ctx context.Context) error {
	err := do(ctx, l.backend.ensemble, l.session.only, func(ctx context.Context, s *session) error {
		stat, err := s.stat(ctx, join(l.directory, l.node))
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
	if id, _ := l.session.identity(); id != 0 && l.node != "" {
		l.session.reconnectNow()
		err = do(ctx, l.backend.ensemble, l.session.only, func(ctx context.Context, s *session) error {
			return ignoreMissing(s.delete(ctx, join(l.directory, l.node), -1))
		})
	}
	l.session.close()
	return ignoreGap(err) // it was lost before
}

// fence is that the own node still stands, which a server only lets be while its session lasts.
func (l *lock) fence() *zk.CheckVersionRequest {
	return &zk.CheckVersionRequest{Path: join(l.directory, l.node), Version: 0}
}

// change makes a change that is fenced.
func (l *lock) change(ctx context.Context, step func(ctx context.Context, s *session) error) error {
	return do(ctx, l.backend.ensemble, l.backend.shared, func(ctx context.Context, s *session) error {
		err := step(ctx, s)
		if errors.Is(err, errFence) {
			err = driver.ErrNotLeading
		}
		return err
	})
}

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.change(ctx, func(ctx context.Context, s *session) error { return s.write(ctx, key, value, l.fence()) })
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.change(ctx, func(ctx context.Context, s *session) error {
		_, at, err := s.together(ctx, l.fence(), &zk.DeleteRequest{Path: key, Version: -1})
		switch {
		case err != nil && at == 0:
			return errFence
		case at == 1:
			return ignoreMissing(err)
		}
		return err
	})
}
