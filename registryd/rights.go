package registryd

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/registryd/node"
)

// rightsTime is between two looks at etcd's auth revision.
const rightsTime = time.Second

// spreadTime is within which those who stay entitled are asked to come again; tests have it shorter.
var spreadTime = 20 * time.Second

// rights tells when users, passwords, roles or permissions change: what reads on then has to be asked again whether
// it may.
type rights struct {
	lock     sync.Mutex
	revision uint64
	known    bool
	changed  chan struct{} // closed at the next change
}

func newRights() *rights { return &rights{changed: make(chan struct{})} }

// change is closed when rights change after this call.
func (r *rights) change() <-chan struct{} {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.changed
}

// follow looks until ctx ends. An etcd that cannot be asked has changed nothing: unreachable is told why.
func (r *rights) follow(ctx context.Context, n node.Node, unreachable func(error)) {
	ticker := time.NewTicker(rightsTime)
	defer ticker.Stop()
	for {
		revision, err := n.AuthRevision(ctx)
		switch {
		case err == nil:
			r.note(revision)
		case status.Code(err) == codes.Unavailable:
			unreachable(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *rights) note(revision uint64) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.known && r.revision != revision {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.revision, r.known = revision, true
}

// whileEntitled gives a context that ends when rights have changed: at once for who is not let in any more, and
// for others some time later, so that not all of them come again at the same moment. change is of before entitled
// was true for the first time.
func (h *handler) whileEntitled(ctx context.Context, change <-chan struct{}, entitled func() bool) (context.Context, context.CancelFunc) {
	ctx, cancel := h.untilClosed(ctx)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-change:
		}
		if entitled() {
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(spreadTime)):
			}
		}
		cancel()
	}()
	return ctx, cancel
}
