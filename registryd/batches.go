package registryd

import (
	"context"
	"sync"
)

// batches lets many who ask the same at a time be answered once. Who comes while it is being asked waits for the
// next time, as what is being answered may be older than the question.
type batches[K comparable, V any] struct {
	lock    sync.Mutex
	next    map[K]*batch[V]
	running map[K]*batch[V]
}

type batch[V any] struct {
	readers int
	cancel  context.CancelFunc
	done    chan struct{}
	value   V
	err     error
}

// join answers by ask, whose context has the values of one who joined and ends when all of them have gone.
func (b *batches[K, V]) join(ctx context.Context, key K, ask func(context.Context) (V, error)) (V, error) {
	b.lock.Lock()
	if b.next == nil {
		b.next, b.running = map[K]*batch[V]{}, map[K]*batch[V]{}
	}
	mine := b.next[key]
	if mine == nil {
		asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
		mine = &batch[V]{cancel: cancel, done: make(chan struct{})}
		b.next[key] = mine
		go b.run(asking, key, mine, b.running[key], ask)
	}
	mine.readers++
	b.lock.Unlock()
	defer b.leave(key, mine)
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (b *batches[K, V]) leave(key K, mine *batch[V]) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if mine.readers--; mine.readers > 0 {
		return
	}
	mine.cancel()
	if b.next[key] == mine {
		delete(b.next, key)
	}
}

// run waits for the batch before, and asks.
func (b *batches[K, V]) run(ctx context.Context, key K, mine, before *batch[V], ask func(context.Context) (V, error)) {
	if before != nil {
		<-before.done
	}
	b.lock.Lock()
	if b.next[key] == mine {
		delete(b.next, key)
	}
	b.running[key] = mine
	b.lock.Unlock()
	mine.value, mine.err = ask(ctx)
	b.lock.Lock()
	if b.running[key] == mine {
		delete(b.running, key)
	}
	b.lock.Unlock()
	close(mine.done)
}
