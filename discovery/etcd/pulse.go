package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
)

// pulseInterval is how often the registry is asked whether it is there, while something is watched: a
// watch alone cannot tell silence from an outage.
const pulseInterval = 2 * time.Second

// pulse notices an outage for all watches of a registry.
type pulse struct {
	registry *registry
	start    sync.Once
	lock     sync.Mutex
	failed   chan struct{}
	err      error
}

func newPulse(r *registry) *pulse { return &pulse{registry: r, failed: make(chan struct{})} }

// broken gives a channel that is closed at the next outage.
func (p *pulse) broken() <-chan struct{} {
	p.start.Do(func() { p.registry.group.Go(context.Background(), p.run) })
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.failed
}

// failure is why the last one was.
func (p *pulse) failure() error {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.err
}

func (p *pulse) run(ctx context.Context) {
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			p.lock.Lock()
			p.err = err
			close(p.failed)
			p.failed = make(chan struct{})
			p.lock.Unlock()
		}
	}
}

// beat asks for one key, as a read would.
func (p *pulse) beat(ctx context.Context) error {
	r := p.registry
	ctx, cancel := context.WithTimeout(ctx, min(r.config.Timeout, 2*pulseInterval))
	defer cancel()
	_, err := call(ctx, r, "reach", "", func(ctx context.Context, client *clientv3.Client) (any, error) {
		return client.Get(ctx, r.layout.ServicesPrefix(), r.reading(clientv3.WithKeysOnly())...)
	})
	if errors.Is(err, discovery.ErrDenied) {
		return nil // it is there, and says so
	}
	return err
}
