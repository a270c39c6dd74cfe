package zookeeper

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	var backoff discovery.Backoff
	for {
		leader, err := r.campaign(ctx, key, name, ttl)
		if err == nil {
			return leader, nil
		}
		if !errors.Is(err, discovery.ErrUnavailable) || backoff.Wait(ctx) != nil {
			return nil, err
		}
		r.config.Log.Warn("cannot stand for election, trying again", "name", name, "error", err)
	}
}

// campaign stands once, and waits for its turn as long as its session lasts.
func (r *registry) campaign(ctx context.Context, key, name string, ttl time.Duration) (*leadership, error) {
	const op = "lead for"
	s, err := r.begin(ttl, false, leastRoom+4*len(key))
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	c := &candidate{registry: r, session: s, name: name, directory: key, token: rand.Text() + "-"}
	err = c.stand(ctx)
	if err == nil {
		err = c.await(ctx)
	}
	if err != nil {
		s.close()
		if !isOurs(err) || ctx.Err() != nil {
			err = r.fail(op, name, r.explain(cmp.Or(ctx.Err(), err), 0))
		}
		return nil, err
	}
	l := &leadership{candidate: c, done: make(chan struct{})}
	l.resigned = sync.OnceValue(l.resign)
	r.group.Go(context.Background(), l.watch)
	return l, nil
}

// candidate is one who stands: an ephemeral node with a number in the election's node. The lowest leads, and
// each waits for the one before it.
type candidate struct {
	registry  *registry
	session   *session
	name      string
	directory string
	token     string // begins the node's name, so that it is known and never comes again
	node      string // its name
}

// stand makes the node, once: a try that had no answer may have made it.
func (c *candidate) stand(ctx context.Context) error {
	_, err := call(ctx, c.registry, "lead for", c.name, c.session.only, func(ctx context.Context, s *session) (any, error) {
		if err := s.sync(ctx); err != nil {
			return nil, err
		}
		line, err := c.line(ctx, s.children)
		if err != nil && !missing(err) {
			return nil, err
		}
		if at := c.place(line); at >= 0 {
			c.node = line[at]
			return nil, nil
		}
		made, err := s.create(ctx, c.directory+"/"+c.token, nil, zk.FlagEphemeral|zk.FlagSequence)
		c.node = made[strings.LastIndex(made, "/")+1:]
		return nil, err
	})
	return lostMeansUnavailable(err)
}

// lostMeansUnavailable: who has lost its session stands again.
func lostMeansUnavailable(err error) error {
	if driver.IsGap(err) {
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	return err
}

// line gives those who stand, first the one who leads. What others may have put beside them stands not.
func (c *candidate) line(ctx context.Context, children func(context.Context, string) (list, error)) ([]string, error) {
	below, err := children(ctx, c.directory)
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

// place gives the own place in the line, -1 if there is none.
func (c *candidate) place(line []string) int {
	return slices.IndexFunc(line, func(name string) bool { return strings.HasPrefix(name, c.token) })
}

// await blocks until the own node is the first.
func (c *candidate) await(ctx context.Context) error {
	for {
		s, err := c.registry.connected(ctx, "lead for", c.name, c.registry.config.Timeout)
		if err == nil {
			var first bool
			if first, err = c.follow(ctx, s); first {
				return nil
			}
		}
		switch {
		case c.session.isOver():
			return discovery.Mark(discovery.ErrUnavailable, errEnded)
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !driver.IsGap(err):
			return err
		}
	}
}

// follow waits until the own node is the first, or what is before it has changed.
func (c *candidate) follow(ctx context.Context, shared *session) (first bool, err error) {
	reader := shared.news.reader()
	defer reader.close()
	first, err = call(ctx, c.registry, "lead for", c.name, shared.only, func(ctx context.Context, s *session) (bool, error) {
		if err := s.sync(ctx); err != nil {
			return false, err
		}
		line, err := c.line(ctx, s.children)
		if err != nil {
			return false, err
		}
		at := c.place(line)
		if at < 0 {
			return false, discovery.Mark(discovery.ErrUnavailable, errEnded) // or somebody removed it
		}
		if at == 0 {
			return true, nil
		}
		before := join(c.directory, line[at-1])
		reader.add(before)
		exists, err := s.existsWatched(ctx, before)
		if err == nil && !exists {
			poke(reader.wake)
		}
		return false, err
	})
	if first || err != nil {
		return first, err
	}
	select {
	case <-reader.wake:
	case <-shared.ended:
	case <-c.session.ended:
	case <-ctx.Done():
	}
	return false, nil
}

// leadership is being the first of the line.
type leadership struct {
	*candidate
	done     chan struct{}
	resigned func() error
}

// watch ends the leadership with its session, with the registry, or when the server has said nothing for so
// long that the session must have expired there.
func (l *leadership) watch(ctx context.Context) {
	defer close(l.done)
	_, granted := l.session.identity()
	ticker := time.NewTicker(max(granted/10, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-l.session.ended:
			return
		case <-ctx.Done():
			_ = l.resigned()
			return
		case <-ticker.C:
		}
		if silence := time.Since(time.Unix(0, l.session.heard.Load())); silence > granted {
			l.session.abandon()
			return
		}
	}
}

// fence is that the own node still stands, which a server only lets be while its session lasts.
func (l *leadership) fence() *zk.CheckVersionRequest {
	return &zk.CheckVersionRequest{Path: join(l.directory, l.node), Version: 0}
}

var errResigned = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

// change makes a change of the value that is fenced.
func (l *leadership) change(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	r := l.registry
	_, err := call(ctx, r, "write, as its leader, value", l.name, r.connection.get, func(ctx context.Context, s *session) (any, error) {
		err := do(ctx, s)
		if errors.Is(err, errFence) {
			err = errResigned
		}
		return nil, err
	})
	return err
}

func (l *leadership) Put(ctx context.Context, value []byte) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.change(ctx, func(ctx context.Context, s *session) error { return s.write(ctx, key, value, l.fence()) })
}

func (l *leadership) Delete(ctx context.Context) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err != nil {
		return l.registry.fail("delete value", l.name, err)
	}
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

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	err := l.resigned()
	<-l.done
	return err
}

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

// resign ends the session, and with it the node of the election.
func (l *leadership) resign() error {
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	l.session.hasten()
	_, err := call(ctx, l.registry, "resign from", l.name, l.session.only, func(ctx context.Context, s *session) (any, error) {
		return nil, ignoreMissing(s.delete(ctx, join(l.directory, l.node), -1))
	})
	l.session.close()
	if driver.IsGap(err) {
		return nil // it was lost before
	}
	return err
}
