package etcd2

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// pace is the least time between two snapshots: v2 tells one event a request and forgets all but the last 1,000, so
// in a burst of changes those who watch must not take the time that the long poll needs to keep up.
const pace = 50 * time.Millisecond

var errBehind = discovery.Mark(discovery.ErrUnavailable, errors.New("this member of the cluster is behind what was read before"))

// source is one key, or all below it, kept by a long poll.
type source struct {
	backend *backend
	key     string
	below   bool

	watcher client.Watcher
	epoch   context.Context // ends when the member that is polled may give no answers
	since   time.Time
	cluster string
	index   uint64          // what was given is what etcd had at this count of changes
	exists  bool            // there is or was such a key
	keys    map[string]bool // that there are
}

func (b *backend) Follow(key string) driver.Source {
	plain := strings.TrimSuffix(key, "/")
	return &source{backend: b, key: plain, below: plain != key}
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	m, epoch := s.backend.connection.poll()
	response, err := s.backend.get(ctx, s.key, s.below, false)
	if err != nil {
		return driver.Changes{}, err
	}
	known := response.ClusterID == s.cluster || response.ClusterID == ""
	if response.Index < s.index && s.backend.config.Stale && known {
		return driver.Changes{}, errBehind
	}
	return s.take(response, m, epoch), nil
}

// Refresh reads without losing what is newer already.
func (s *source) Refresh(ctx context.Context) (driver.Changes, error) {
	m, epoch := s.backend.connection.poll()
	response, err := s.backend.get(ctx, s.key, s.below, false)
	if err != nil || response.Index < s.index {
		return driver.Changes{}, err
	}
	return s.take(response, m, epoch), nil
}

// take takes over what was read, and polls from there.
func (s *source) take(response *client.Response, m *member, epoch context.Context) driver.Changes {
	s.index, s.cluster = response.Index, response.ClusterID
	s.exists = s.exists || response.Node != nil
	c := wholeOf(response)
	if !s.below {
		c.Items = []driver.Item{itemAt(s.key, response.Node)}
	}
	c.Never = !s.exists
	s.keys = map[string]bool{}
	for _, item := range c.Items {
		s.keys[item.Key] = true
	}
	s.watcher = m.polls.Watcher(s.key, &client.WatcherOptions{AfterIndex: s.index, Recursive: s.below})
	s.epoch, s.since = epoch, time.Now()
	return c
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	for {
		event, err := s.poll(ctx)
		if err != nil {
			return driver.Changes{}, err
		}
		if node := event.Node; node.ModifiedIndex > s.index {
			s.index, s.exists = node.ModifiedIndex, true
			return driver.Changes{Items: s.items(event), Revision: revision(s.index)}, nil
		}
	}
}

func (s *source) poll(ctx context.Context) (*client.Response, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.epoch, func() { cancel(context.Cause(s.epoch)) })()
	event, err := s.watcher.Next(limited)
	if err != nil && limited.Err() != nil {
		err = context.Cause(limited)
	} else if err != nil {
		err = s.judge(err)
	}
	return event, err
}

// judge says why a long poll ended. One that some proxy ended after a while is a gap, and no outage until a
// read fails, too.
func (s *source) judge(err error) error {
	lasted := time.Since(s.since)
	if refused(err, client.ErrorCodeEventIndexCleared, client.ErrorCodeWatcherCleared) || noAnswer(err) && lasted > time.Second {
		return driver.ErrGap
	}
	return driver.Explain(s.backend, answered(err), lasted)
}

// items are what an event changes.
func (s *source) items(event *client.Response) []driver.Item {
	node, removed := event.Node, false
	switch event.Action {
	case "delete", "expire", "compareAndDelete":
		removed = true
	}
	if !removed && !node.Dir {
		s.keys[node.Key] = true
		return []driver.Item{itemAt(node.Key, node)}
	}
	var items []driver.Item
	for key := range s.keys {
		if key == node.Key || removed && strings.HasPrefix(key, node.Key+"/") {
			items = append(items, driver.Item{Key: key, Gone: true})
			delete(s.keys, key)
		}
	}
	return items
}

func (s *source) Close() {}
