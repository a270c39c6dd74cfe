package etcd

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
)

// maxBatch is how many changes are given at once, at most about.
const maxBatch = 1000

// source reads a key, or all keys with that prefix, and follows them from the next revision.
type source struct {
	backend *backend
	key     string
	options []clientv3.OpOption

	since   time.Time
	changes clientv3.WatchChan
	cancel  context.CancelFunc // nil: there is no watch
	broken  error              // why the watch has ended
}

func (b *backend) Follow(key string) driver.Source {
	s := &source{backend: b, key: key}
	if strings.HasSuffix(key, "/") {
		s.options = []clientv3.OpOption{clientv3.WithPrefix()}
	}
	return s
}

// loginKey is the metadata that gives the watches of one login a stream of their own: etcd looks at the token
// that their stream began with. Nobody reads it.
const loginKey = "envharness-login"

// life is the context of a watch.
func (b *backend) life() (context.Context, context.CancelFunc) {
	ctx := clientv3.WithRequireLeader(context.Background())
	ctx = metadata.AppendToOutgoingContext(ctx, loginKey, strconv.Itoa(b.Logins()))
	return context.WithCancel(ctx)
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	s.Close()
	response, err := cluster.Call(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		response, err := client.Get(ctx, s.key, s.backend.reading(s.options...)...)
		if err != nil {
			return nil, err
		}
		from := append([]clientv3.OpOption{clientv3.WithRev(response.Header.Revision + 1)}, s.options...)
		life, cancel := s.backend.life()
		stop := context.AfterFunc(ctx, cancel) // Watch blocks while there is no connection
		s.changes, s.cancel = client.Watch(life, s.key, from...), cancel
		s.since, s.broken = time.Now(), nil
		if !stop() {
			s.Close()
			return nil, ctx.Err()
		}
		return response, nil
	})
	if err != nil {
		return driver.Changes{}, err
	}
	return wholeOf(response), nil
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	var c driver.Changes
	if s.broken == nil {
		select {
		case response, ok := <-s.changes:
			s.take(&c, response, ok)
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
	for s.broken == nil && len(c.Items) < maxBatch {
		select {
		case response, ok := <-s.changes:
			s.take(&c, response, ok)
			continue
		default:
		}
		break
	}
	if len(c.Items) > 0 { // what broke the watch is given the next time
		return c, nil
	}
	return c, s.broken
}

// take adds changes. A response's header may be ahead of its events.
func (s *source) take(c *driver.Changes, response clientv3.WatchResponse, ok bool) {
	s.broken = s.judge(response, ok)
	for _, event := range response.Events {
		item := itemOf(string(event.Kv.Key), event.Kv)
		item.Gone = event.Type == clientv3.EventTypeDelete
		c.Items = append(c.Items, item)
		c.Revision = revision(event.Kv.ModRevision)
	}
}

// judge is the error that a response stands for.
func (s *source) judge(response clientv3.WatchResponse, ok bool) error {
	if !ok {
		return driver.ErrGap // its client was closed: then the read that follows says so
	}
	switch err := response.Err(); {
	case errors.Is(err, rpctypes.ErrCompacted):
		return driver.ErrGap
	case cluster.CodeOf(err) == codes.Aborted && time.Since(s.since) > time.Second:
		return driver.ErrGap // its connection broke: no outage until a read fails, too
	case err != nil:
		return s.backend.Explain(err)
	}
	return nil
}

// Close ends the watch.
func (s *source) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	for range s.changes { // it is closed soon; who goes on earlier leaves work behind
	}
	s.cancel = nil
}
