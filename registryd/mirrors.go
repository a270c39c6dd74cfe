package registryd

import (
	"context"
	"fmt"
	"sync"

	"github.com/envharness/envharness/discovery/driver"
)

// mostMirrors bounds how many callers watch at a time. One caller may do so as often as it likes.
const mostMirrors = 100

var errManyWatch = fmt.Errorf("more than %d users watch already", mostMirrors)

// mirrors keeps one mirror for each caller who watches: however many watch, etcd is asked once, and with the
// rights of that caller.
type mirrors struct {
	life   context.Context
	store  *store
	rights *rights
	behind *behind

	lock     sync.Mutex
	byCaller map[caller]*mirror
}

func newMirrors(life context.Context, s *store, r *rights) *mirrors {
	return &mirrors{life: life, store: s, rights: r, behind: newBehind(), byCaller: map[caller]*mirror{}}
}

// join gives the mirror of a caller, which follows etcd until everyone has left it.
func (ms *mirrors) join(who caller) (m *mirror, leave func(), err error) {
	ms.lock.Lock()
	defer ms.lock.Unlock()
	who.peer = ""
	m = ms.byCaller[who]
	if m == nil {
		if len(ms.byCaller) >= mostMirrors {
			return nil, nil, errManyWatch
		}
		m = newMirror(ms.store, ms.behind)
		ms.byCaller[who] = m
		var ctx context.Context
		ctx, m.end = context.WithCancel(withCaller(ms.life, who))
		source := &mirrorSource{store: ms.store, rights: ms.rights}
		apply := func(c driver.Changes) { m.apply(c, source.writable) }
		m.follower = driver.NewFollower(source, apply, m.outage)
		go m.follower.Run(ctx)
	}
	m.readers++
	return m, sync.OnceFunc(func() {
		ms.lock.Lock()
		defer ms.lock.Unlock()
		if m.readers--; m.readers == 0 {
			m.end()
			delete(ms.byCaller, who)
		}
	}), nil
}

// disrupt tells all mirrors that etcd is unreachable: while there is no connection, its client leaves watches waiting.
func (ms *mirrors) disrupt(why error) {
	ms.lock.Lock()
	defer ms.lock.Unlock()
	for _, m := range ms.byCaller {
		m.follower.Disrupt(why)
	}
}
