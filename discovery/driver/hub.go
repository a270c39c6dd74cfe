package driver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// heartbeatInterval is how often a registry is pinged while something is followed.
const heartbeatInterval = 2 * time.Second

// Hub follows each place once, for all who watch it: a shared watch. It ends when nobody watches the place any more.
type Hub struct {
	follow   func(key string) Source
	decode   func(*discovery.Instance, Item) bool
	values   string                      // the prefix below which there are values, and no instances
	ping     func(context.Context) error // nil: sources notice an outage by themselves
	pace     time.Duration
	patience time.Duration // of who begins to watch
	group    *Group
	log      *slog.Logger
	failer

	heartbeat sync.Once
	lock      sync.Mutex
	byKey     map[string]*sharedWatch
}

// acquire gives what is followed at a key; its release follows. joined says that it was followed before, so what it
// holds may be older than the call.
func (h *Hub) acquire(key string) (w *sharedWatch, joined bool) {
	h.lock.Lock()
	defer h.lock.Unlock()
	w = h.byKey[key]
	joined = w != nil
	if !joined {
		w = newSharedWatch(h, key)
		h.byKey[key] = w
		ctx, end := context.WithCancel(context.Background())
		w.end = end
		h.group.Go(ctx, w.follower.Run)
	}
	w.watches++
	if h.ping != nil {
		h.heartbeat.Do(func() { h.group.Go(context.Background(), h.keepPinging) })
	}
	return w, joined
}

func (h *Hub) release(w *sharedWatch) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if w.watches--; w.watches == 0 {
		delete(h.byKey, w.key)
		w.end()
	}
}

// keepPinging notices an outage for all who watch.
func (h *Hub) keepPinging(ctx context.Context) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		all := h.all()
		if len(all) == 0 {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, 2*heartbeatInterval)
		err := h.ping(limited)
		cancel()
		if err == nil || errors.Is(err, discovery.ErrDenied) || ctx.Err() != nil {
			continue // one that denies is there
		}
		for _, w := range all {
			w.follower.Disrupt(err)
		}
	}
}

func (h *Hub) all() []*sharedWatch {
	h.lock.Lock()
	defer h.lock.Unlock()
	all := make([]*sharedWatch, 0, len(h.byKey))
	for _, w := range h.byKey {
		all = append(all, w)
	}
	return all
}

// sharedWatch is what is known of one place.
type sharedWatch struct {
	hub      *Hub
	key      string
	follower *Follower
	end      context.CancelFunc
	watches  int // under the lock of the hub

	lock     sync.Mutex
	err      error // why it is not what the registry holds; nil before the first read
	revision string
	never    bool
	items    map[string]*known
	ordered  []*known         // the items of the last whole read, in its order; nil when there were changes since
	views    map[string]*view // by query
	told     time.Time        // when views were last told of changes
	telling  *time.Timer      // nil: there is nothing more to tell
}

// known is what was last read at a key; it is never changed.
type known struct {
	item     Item // without its value where that was decoded
	instance discovery.Instance
	ok       bool // it is an instance, and no malformed one
}

// nothing is what is known of a key where nothing stands.
var nothing = &known{item: Item{Gone: true}}

func newSharedWatch(h *Hub, key string) *sharedWatch {
	w := &sharedWatch{hub: h, key: key, items: map[string]*known{}, views: map[string]*view{}}
	w.follower = NewFollower(h.follow(key), w.apply, w.outage)
	return w
}

// ofInstances reports whether it follows records, and not one key or values.
func (w *sharedWatch) ofInstances() bool { return w.key[len(w.key)-1] == '/' && w.key != w.hub.values }

// outage marks what is known as the last known.
func (w *sharedWatch) outage(err error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.err = err
	for _, v := range w.views {
		v.tell()
	}
}

// apply takes changes over, and tells the views that see one of them.
func (w *sharedWatch) apply(c Changes) {
	decoded := w.decode(c.Items)
	w.lock.Lock()
	defer w.lock.Unlock()
	w.ordered = nil
	for _, now := range decoded {
		w.replace(now)
	}
	if c.Whole {
		w.forgetOthers(decoded)
		w.ordered = decoded
	}
	if never := c.Never && len(w.items) == 0; never != w.never {
		w.never = never
		for _, v := range w.views {
			v.changed = true
		}
	}
	if c.Revision != "" {
		w.revision = c.Revision
	}
	if w.err == nil {
		w.tellAtPace()
		return
	}
	w.err = nil
	for _, v := range w.views { // the end of an outage concerns all
		v.changed = true
	}
	w.tell()
}

// decode reads what is new among items. Only the goroutine of the follower changes what is known.
func (w *sharedWatch) decode(items []Item) []*known {
	decoded := make([]*known, len(items))
	each(len(items), func(i int) {
		item := items[i]
		was := w.items[item.Key]
		switch {
		case item.Gone:
			decoded[i] = &known{item: Item{Key: item.Key, Gone: true}}
		case was != nil && was.item.Version == item.Version:
			decoded[i] = was
		case w.ofInstances():
			now := &known{item: Item{Key: item.Key, Version: item.Version}}
			now.ok = w.hub.decode(&now.instance, item)
			decoded[i] = now
		default:
			decoded[i] = &known{item: item}
		}
	})
	return decoded
}

// replace takes over what is known of one key now.
func (w *sharedWatch) replace(now *known) {
	key := now.item.Key
	was := w.items[key]
	switch {
	case was == now, was == nil && now.item.Gone:
		return
	case now.item.Gone:
		delete(w.items, key)
	default:
		w.items[key] = now
	}
	if was == nil {
		was = nothing
	}
	for _, v := range w.views {
		v.replace(was, now, w.ofInstances())
	}
}

// forgetOthers drops all but these.
func (w *sharedWatch) forgetOthers(all []*known) {
	if len(all) == len(w.items) {
		return // each of them is known
	}
	there := make(map[string]bool, len(all))
	for _, one := range all {
		there[one.item.Key] = !one.item.Gone
	}
	for key := range w.items {
		if !there[key] {
			w.replace(&known{item: Item{Key: key, Gone: true}})
		}
	}
}

// pacePerItem is the least time between two snapshots of a large service, for each of its items: copying and reading
// one takes a fraction of it, so that a service that changes all the time leaves its watchers most of their time.
const pacePerItem = 2 * time.Microsecond

// tellAtPace tells the views now, or of more changes together: in a burst those who watch must not take the time that
// is needed to keep up.
func (w *sharedWatch) tellAtPace() {
	if w.telling != nil {
		return
	}
	pace := w.hub.pace
	if len(w.items) >= spareFrom {
		pace = max(pace, time.Duration(len(w.items))*pacePerItem)
	}
	left := pace - time.Since(w.told)
	if left <= 0 {
		w.tell()
		return
	}
	w.telling = time.AfterFunc(left, func() {
		w.lock.Lock()
		defer w.lock.Unlock()
		w.tell()
	})
}

func (w *sharedWatch) tell() {
	if w.telling != nil {
		w.telling.Stop()
		w.telling = nil
	}
	w.told = time.Now()
	for _, v := range w.views {
		if v.changed {
			v.tell()
		}
	}
}
