package driver

import (
	"context"
	"log/slog"

	"github.com/envharness/envharness/discovery"
)

// place is a shared watch as one sees it who watches it with a query.
type place struct {
	*sharedWatch
	view   *view
	joined bool
	seen   uint64        // the version of the view
	news   chan struct{} // closed when there is a newer one
}

// join gives a place; its close follows.
func (h *Hub) join(key string, q discovery.Query) *place {
	w, joined := h.acquire(key)
	return &place{sharedWatch: w, view: w.see(q), joined: joined}
}

func (p *place) close() {
	p.leave(p.view)
	p.hub.release(p.sharedWatch)
}

// start waits until what is known is not older than the call.
func (p *place) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.hub.patience)
	defer cancel()
	if p.joined {
		return p.follower.Refresh(ctx)
	}
	return p.follower.Started(ctx)
}

// look reports whether the view was told of something since the last look, and why it is not what the registry holds.
func (p *place) look() (changed bool, broken error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	changed = p.seen != p.view.version
	p.seen, p.news = p.view.version, p.view.news
	return changed, p.err
}

// Await blocks until what stands at a key is as it should be, as long as the registry can be asked.
func (h *Hub) Await(ctx context.Context, key string, right func(Item) bool) error {
	p := h.join(key, discovery.Query{All: true})
	defer p.close()
	if err := p.start(ctx); err != nil {
		return err
	}
	for {
		if _, err := p.look(); err != nil {
			return err
		}
		if right(p.item()) {
			return nil
		}
		select {
		case <-p.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watcher is one who watches one place, or two: see makes of them what it gets.
type watcher[T any] struct {
	op, name string
	places   []*place
	see      func() T
	stale    func(T) T // marks a copy as the last known
	log      *slog.Logger

	newest T
	away   bool // an outage was told
	out    chan T
}

// watch waits for the first, in the caller's time, and gives the newest from then on until ctx ends. It implements the
// contract of discovery.Registry.Watch.
func watch[T any](ctx context.Context, h *Hub, w *watcher[T]) (<-chan T, error) {
	for _, p := range w.places {
		if err := p.start(ctx); err != nil {
			w.close()
			return nil, h.fail(w.op, w.name, err)
		}
	}
	for _, p := range w.places {
		p.look()
	}
	w.log, w.newest, w.out = h.log, w.see(), make(chan T, 1)
	w.out <- w.newest
	h.group.Go(ctx, w.run)
	return w.out, nil
}

func (w *watcher[T]) close() {
	for _, p := range w.places {
		p.close()
	}
}

func (w *watcher[T]) run(ctx context.Context) {
	defer close(w.out)
	defer w.close()
	for {
		changed, broken := false, error(nil)
		for _, p := range w.places {
			c, err := p.look()
			changed = changed || c
			if err != nil {
				broken = err
			}
		}
		w.tell(changed, broken)
		var second chan struct{}
		if len(w.places) > 1 {
			second = w.places[1].news
		}
		select {
		case <-w.places[0].news:
		case <-second:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher[T]) tell(changed bool, broken error) {
	switch {
	case broken != nil && w.away:
		w.log.Debug("cannot watch", "name", w.name, "error", broken)
	case broken != nil:
		w.log.Warn("cannot watch, the last known stays", "name", w.name, "error", broken)
		w.away = true
		deliver(w.out, w.stale(w.newest))
	case w.away:
		w.log.Info("watching again", "name", w.name)
		w.away = false
		fallthrough
	case changed:
		w.newest = w.see()
		deliver(w.out, w.newest)
	}
}

// deliver puts v into a channel of one place, in place of what was not read yet. Only one goroutine
// delivers to a channel.
func deliver[T any](out chan T, v T) {
	for {
		select {
		case out <- v:
			return
		default:
		}
		select {
		case <-out:
		default:
		}
	}
}

// snapshots watches a service; with a second key, beside completes each snapshot with what stands there.
func (h *Hub) snapshots(ctx context.Context, service, prefix string, q discovery.Query, second string, beside func(*discovery.Snapshot, Item)) (<-chan discovery.Snapshot, error) {
	records := h.join(prefix, q)
	w := &watcher[discovery.Snapshot]{
		op:     "watch service",
		name:   service,
		places: []*place{records},
		see:    func() discovery.Snapshot { return records.snapshot(records.view, service) },
		stale: func(s discovery.Snapshot) discovery.Snapshot {
			s.Stale = true
			return s
		},
	}
	if second != "" {
		other := h.join(second, discovery.Query{All: true})
		w.places = append(w.places, other)
		w.see = func() discovery.Snapshot {
			s := records.snapshot(records.view, service)
			beside(&s, other.item())
			return s
		}
	}
	return watch(ctx, h, w)
}

// WatchKey watches one key; see makes of what stands there what is delivered, and stale marks a copy as the last
// known.
func WatchKey[T any](ctx context.Context, h *Hub, op, name, key string, see func(Item) T, stale func(T) T) (<-chan T, error) {
	p := h.join(key, discovery.Query{All: true})
	return watch(ctx, h, &watcher[T]{
		op:     op,
		name:   name,
		places: []*place{p},
		see:    func() T { return see(p.item()) },
		stale:  stale,
	})
}
