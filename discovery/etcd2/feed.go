package etcd2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// feed is one key, with all below it, as it is now: read once, and from then on kept by one long poll for all
// watches of it. v2 tells one event a request and forgets all but the last 1,000, so a long poll for each
// watch would be too slow for many.
type feed struct {
	registry *registry
	op, name string
	key      string
	records  bool // of instances

	watches int // of feeds.lock

	reading chan struct{} // held by the one who reads

	lock     sync.Mutex
	begun    time.Time // of the last read,
	result   error     // and what came of it
	poll     int       // counts long polls; only the last one's events count
	stop     context.CancelFunc
	broken   error // why there is no long poll
	cluster  string
	index    uint64        // the entries are what etcd had at this count of changes
	exists   bool          // there is or was such a key
	entries  []*entry      // by key
	version  uint64        // counts changes that a reader sees
	changed  chan struct{} // closed at the next change, and when the feed breaks
	released bool
}

// entry is one key and, if it is the record of an instance, that.
type entry struct {
	node     *client.Node
	instance discovery.Instance
	ok       bool
}

var errBehind = errors.New("this member of the cluster is behind what was read before")

// read makes the feed what etcd has, after the call was made, and follows it from there.
func (f *feed) read(ctx context.Context) error {
	asked := time.Now()
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return f.fail(discovery.Mark(discovery.ErrUnavailable, ctx.Err()))
	}
	if done, err := f.readSince(asked); done {
		return err
	}
	begun := time.Now()
	m, epoch := f.registry.connection.poll()
	response, err := call(ctx, f.registry, f.op, f.name, func(ctx context.Context, keys client.KeysAPI) (*client.Response, error) {
		response, err := keys.Get(ctx, f.key, &client.GetOptions{Recursive: f.records, Quorum: !f.registry.config.Stale})
		if failure, ok := failureOf(err); ok && failure.Code == client.ErrorCodeKeyNotFound {
			return &client.Response{Index: failure.Index}, nil
		}
		return response, err
	})
	f.lock.Lock()
	defer f.lock.Unlock()
	if err == nil {
		err = f.take(response, m, epoch)
	}
	f.begun, f.result = begun, err
	return err
}

// readSince gives the result of another's read, if that was begun after this one was asked for.
func (f *feed) readSince(asked time.Time) (done bool, err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.begun.After(asked), f.result
}

// take takes over what was read, unless events have made the feed newer, and starts the long poll if there is
// none.
func (f *feed) take(response *client.Response, m *member, epoch context.Context) error {
	if response.Index < f.index && (response.ClusterID == f.cluster || response.ClusterID == "") {
		if f.broken == nil {
			return nil
		}
		return f.fail(discovery.Mark(discovery.ErrUnavailable, errBehind))
	}
	f.index, f.cluster = response.Index, response.ClusterID
	f.exists = f.exists || response.Node != nil
	now := map[string]bool{}
	changed := false
	if response.Node != nil {
		leaves(response.Node, func(leaf *client.Node) {
			now[leaf.Key] = true
			changed = f.put(leaf) || changed
		})
	}
	changed = f.drop(func(key string) bool { return !now[key] }) || changed
	if f.broken != nil && !f.released {
		f.follow(m, epoch)
	}
	if changed {
		f.signal()
	}
	return nil
}

// find gives the place of a key among the entries, and whether it is there.
func (f *feed) find(key string) (int, bool) {
	return slices.BinarySearchFunc(f.entries, key, func(e *entry, key string) int { return strings.Compare(e.node.Key, key) })
}

// put takes over a key and reports whether it is another than before. A malformed record is warned of once.
func (f *feed) put(node *client.Node) bool {
	at, had := f.find(node.Key)
	if had && f.entries[at].node.Value == node.Value {
		return false
	}
	e := &entry{node: node}
	if f.records {
		record := layout.Record{Key: node.Key, Value: []byte(node.Value)}
		e.instance, e.ok = layout.DecodeOne(f.registry.layout, f.registry.config.Log, record)
	}
	if had {
		f.entries[at] = e
	} else {
		f.entries = slices.Insert(f.entries, at, e)
	}
	return true
}

// forget drops one key.
func (f *feed) forget(key string) bool {
	at, had := f.find(key)
	if had {
		f.entries = slices.Delete(f.entries, at, at+1)
	}
	return had
}

// drop forgets keys and reports whether there were any.
func (f *feed) drop(which func(key string) bool) bool {
	before := len(f.entries)
	f.entries = slices.DeleteFunc(f.entries, func(e *entry) bool { return which(e.node.Key) })
	return len(f.entries) < before
}

// follow starts the long poll, at the member that is asked now.
func (f *feed) follow(m *member, epoch context.Context) {
	ctx, cancel := context.WithCancelCause(context.Background())
	detach := context.AfterFunc(epoch, func() { cancel(context.Cause(epoch)) })
	stop := func() {
		detach()
		cancel(context.Canceled)
	}
	f.poll++
	f.broken, f.stop = nil, stop
	number, watcher := f.poll, m.polls.Watcher(f.key, &client.WatcherOptions{AfterIndex: f.index, Recursive: f.records})
	f.registry.group.Go(ctx, func(ctx context.Context) {
		defer stop()
		for {
			event, err := watcher.Next(ctx)
			if err != nil {
				f.end(number, f.registry.judge(ctx, err))
				return
			}
			if !f.apply(number, event) {
				return
			}
		}
	})
}

// judge says why a long poll ended.
func (r *registry) judge(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if refused(err, client.ErrorCodeEventIndexCleared, client.ErrorCodeWatcherCleared) {
		return driver.ErrGap
	}
	return r.explain(err, 0)
}

// apply takes over an event and reports whether the long poll is to go on.
func (f *feed) apply(number int, event *client.Response) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.poll != number {
		return false
	}
	node := event.Node
	if node.ModifiedIndex <= f.index {
		return true
	}
	f.index, f.exists = node.ModifiedIndex, true
	changed := false
	switch {
	case event.Action == "delete" || event.Action == "expire" || event.Action == "compareAndDelete":
		changed = f.forget(node.Key)
		if node.Dir || event.PrevNode != nil && event.PrevNode.Dir {
			changed = f.drop(func(key string) bool { return strings.HasPrefix(key, node.Key+"/") }) || changed
		}
	case node.Dir:
		changed = f.forget(node.Key)
	default:
		changed = f.put(node)
	}
	if changed {
		f.signal()
	}
	return true
}

// end notes that the long poll is over.
func (f *feed) end(number int, why error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.poll == number && f.broken == nil {
		f.broken = f.fail(why)
		f.signal()
	}
}

// signal wakes who waits.
func (f *feed) signal() {
	f.version++
	close(f.changed)
	f.changed = make(chan struct{})
}

// state gives a number for what the feed has now, a channel that is closed when that changes, and why it
// does not follow any more.
func (f *feed) state() (version uint64, changed <-chan struct{}, broken error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.version, f.changed, f.broken
}

func (f *feed) fail(err error) error {
	if driver.IsGap(err) {
		return err
	}
	return f.registry.fail(f.op, f.name, err)
}

// node gives the one key, nil when it is not there.
func (f *feed) node() *client.Node {
	f.lock.Lock()
	defer f.lock.Unlock()
	if at, ok := f.find(f.key); ok {
		return f.entries[at].node
	}
	return nil
}

// snapshot gives the instances.
func (f *feed) snapshot(service string, q discovery.Query) discovery.Snapshot {
	f.lock.Lock()
	defer f.lock.Unlock()
	chosen := make([]discovery.Instance, 0, len(f.entries))
	for _, e := range f.entries {
		if e.ok && q.Matches(e.instance) {
			chosen = append(chosen, e.instance)
		}
	}
	snapshot := discovery.NewSnapshot(service, revision(f.index), q, chosen)
	snapshot.Never = !f.exists
	return snapshot
}

// close ends the long poll for good.
func (f *feed) close() {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.released = true
	if f.stop != nil {
		f.stop()
	}
}

// feeds are those of a registry that are watched.
type feeds struct {
	registry *registry
	lock     sync.Mutex
	byKey    map[string]*feed
	pulse    sync.Once
}

func newFeeds(r *registry) *feeds { return &feeds{registry: r, byKey: map[string]*feed{}} }

// acquire gives the feed of a key; its release follows.
func (s *feeds) acquire(op, name, key string, records bool) *feed {
	key = strings.TrimSuffix(key, "/")
	s.lock.Lock()
	defer s.lock.Unlock()
	f := s.byKey[key]
	if f == nil {
		f = &feed{
			registry: s.registry,
			op:       op,
			name:     name,
			key:      key,
			records:  records,
			reading:  make(chan struct{}, 1),
			broken:   driver.ErrGap,
			changed:  make(chan struct{}),
		}
		s.byKey[key] = f
	}
	f.watches++
	s.pulse.Do(func() { s.registry.group.Go(context.Background(), s.beat) })
	return f
}

func (s *feeds) release(f *feed) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if f.watches--; f.watches == 0 {
		delete(s.byKey, f.key)
		f.close()
	}
}

// pulseInterval is how often the registry is asked whether it is there, while something is watched: a long
// poll cannot tell silence from an outage.
const pulseInterval = 3 * time.Second

// beat ends all long polls when the registry gives no answer.
func (s *feeds) beat(ctx context.Context) {
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !s.inUse() {
			continue
		}
		if err := s.registry.reach(ctx); err != nil && ctx.Err() == nil {
			s.registry.connection.disrupt(err)
		}
	}
}

func (s *feeds) inUse() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.byKey) > 0
}

// reach asks for a key, as a read would.
func (r *registry) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.config.Timeout, 2*pulseInterval))
	defer cancel()
	_, err := call(ctx, r, "reach", "", func(ctx context.Context, keys client.KeysAPI) (any, error) {
		_, _, err := found(keys.Get(ctx, r.layout.ValuesPrefix()+"%", &client.GetOptions{Quorum: !r.config.Stale}))
		return nil, err
	})
	if errors.Is(err, discovery.ErrDenied) {
		return nil // it is there, and says so
	}
	return err
}
