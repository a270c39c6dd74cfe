package etcd2

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
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
	index    uint64 // the entries are what etcd had at this count of changes
	exists   bool   // there is or was such a key
	entries  entries
	released bool

	version uint64 // counts changes of the entries
	told    uint64 // the version that was last told of,
	toldAt  time.Time
	telling *time.Timer   // nil: there is nothing more to tell
	changed chan struct{} // closed when there is something to tell
}

// pace is the least time between two tidings. In a burst of changes those who watch must not take the time
// that the long poll needs to keep up.
const pace = 50 * time.Millisecond

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
	if ctx.Err() == nil { // what the end of this watch's context made of it is not for the others
		f.begun, f.result = begun, err
	}
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
	if response.Index < f.index && f.broken == nil {
		return nil
	}
	if response.Index < f.index && f.registry.config.Stale && (response.ClusterID == f.cluster || response.ClusterID == "") {
		return f.fail(discovery.Mark(discovery.ErrUnavailable, errBehind))
	}
	f.index, f.cluster = response.Index, response.ClusterID
	f.exists = f.exists || response.Node != nil
	changed := f.entries.replace(response.Node)
	if f.broken != nil && !f.released {
		f.follow(m, epoch)
	}
	if changed {
		f.tell()
	}
	return nil
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
	number, begun := f.poll, time.Now()
	watcher := m.polls.Watcher(f.key, &client.WatcherOptions{AfterIndex: f.index, Recursive: f.records})
	f.registry.group.Go(ctx, func(ctx context.Context) {
		defer stop()
		for {
			event, err := watcher.Next(ctx)
			if context.Cause(ctx) == context.Canceled {
				return // nobody watches any more
			}
			if err != nil {
				f.end(number, f.registry.judge(ctx, err, time.Since(begun)))
				return
			}
			if !f.apply(number, event) {
				return
			}
		}
	})
}

// judge says why a long poll ended. One that some proxy ended after a while is a gap, and no outage until a
// read fails, too.
func (r *registry) judge(ctx context.Context, err error, lasted time.Duration) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if refused(err, client.ErrorCodeEventIndexCleared, client.ErrorCodeWatcherCleared) || noAnswer(err) && lasted > time.Second {
		return driver.ErrGap
	}
	return r.explain(err, lasted)
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
	if f.entries.apply(event) {
		f.tell()
	}
	return true
}

// end notes that the long poll is over.
func (f *feed) end(number int, why error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.poll == number && f.broken == nil {
		f.broken = f.fail(why)
		f.wake()
	}
}

// tell lets those who watch know of a change, now or with others of a burst.
func (f *feed) tell() {
	f.version++
	if f.telling != nil {
		return
	}
	rest := pace - time.Since(f.toldAt)
	if rest <= 0 {
		f.wake()
		return
	}
	f.telling = time.AfterFunc(rest, func() {
		f.lock.Lock()
		defer f.lock.Unlock()
		f.wake()
	})
}

func (f *feed) wake() {
	if f.telling != nil {
		f.telling.Stop()
		f.telling = nil
	}
	f.told, f.toldAt = f.version, time.Now()
	close(f.changed)
	f.changed = make(chan struct{})
}

// state gives the version that was last told of, a channel that is closed when there is news, and why the
// feed does not follow any more.
func (f *feed) state() (told uint64, changed <-chan struct{}, broken error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.told, f.changed, f.broken
}

// seen gives the version that a view taken from now on has.
func (f *feed) seen() uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.version
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
	return f.entries.get(f.key)
}

// snapshot gives the instances.
func (f *feed) snapshot(service string, q discovery.Query) discovery.Snapshot {
	f.lock.Lock()
	defer f.lock.Unlock()
	return discovery.Snapshot{
		Service:   service,
		Instances: f.entries.instances(q),
		Revision:  revision(f.index),
		Never:     !f.exists,
		Query:     q,
	}
}

// close ends the long poll for good.
func (f *feed) close() {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.released = true
	if f.stop != nil {
		f.stop()
	}
	if f.telling != nil {
		f.telling.Stop()
	}
}
