package registryd

import "sync"

// mostBehind is how many bytes of events are kept for readers alone: they are of states that services have left.
const mostBehind = 32 << 20

// event is the state of a service, or a change of it, as it is sent. All readers share it.
type event struct {
	data    []byte
	leased  []leased         // the instances in it that have a lease
	readers map[*stream]bool // of behind
}

func newEvent(data []byte, leased []leased) *event {
	return &event{data: data, leased: leased, readers: map[*stream]bool{}}
}

// behind bounds what readers that are slow hold on to. When that is too much, all of them are cut off; they come
// again and are sent the state of then.
type behind struct {
	lock sync.Mutex
	size int
	held map[*event]bool
}

func newBehind() *behind { return &behind{held: map[*event]bool{}} }

func (b *behind) take(e *event, reader *stream) {
	b.lock.Lock()
	defer b.lock.Unlock()
	e.readers[reader] = true
}

// read ends take.
func (b *behind) read(e *event, reader *stream) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(e.readers, reader)
	if len(e.readers) == 0 && b.held[e] {
		delete(b.held, e)
		b.size -= len(e.data)
	}
}

// replaced notes that an event is kept for its readers alone.
func (b *behind) replaced(e *event) {
	if e == nil {
		return
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	if len(e.readers) == 0 {
		return
	}
	b.held[e] = true
	if b.size += len(e.data); b.size <= mostBehind {
		return
	}
	for held := range b.held {
		for reader := range held.readers {
			reader.cut()
		}
	}
}
