package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/failure"
)

// key is what tells instances apart: the services of one container share its ID.
type key struct{ service, id string }

func keyOf(in discovery.Instance) key { return key{in.Service, in.ID} }

// publisherConfig tells a publisher about what it does.
type publisherConfig struct {
	registry discovery.Registry
	ttl      time.Duration
	rest     time.Duration          // after an entry was taken away or refused
	again    func(container string) // to be looked at again
	log      *slog.Logger
}

// publisher keeps the registry true to what the containers are wanted to announce. Each entry is kept by a goroutine of
// its own, so a registry that is unreachable holds nobody up.
type publisher struct {
	publisherConfig

	ctx    context.Context // until detach
	cancel context.CancelFunc
	wait   sync.WaitGroup

	lock sync.Mutex
	all  map[key]*entry
}

// entry is one instance, until it has ended in the registry too. Two of one key never overlap.
type entry struct {
	key
	container string             // its ID
	name      string             // its name, when it was first wanted
	instance  discovery.Instance // as it is wanted
	changes   chan discovery.Instance
	ctx       context.Context // ends when it is to end
	end       context.CancelFunc
	left      bool   // at its end it is left to its TTL
	successor string // the container to look at again after the end
}

func newPublisher(what publisherConfig) *publisher {
	p := &publisher{publisherConfig: what, all: map[key]*entry{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// want makes these instances all that the container announces. It complains about those whose ID another container
// announces: they are looked at again when that ends.
func (p *publisher) want(container string, instances []discovery.Instance) (complaints []error) {
	wanted := map[key]bool{}
	for _, in := range instances {
		wanted[keyOf(in)] = true
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, n := range p.all {
		if n.container == container && !wanted[n.key] {
			n.end()
		}
	}
	for _, in := range instances {
		if err := p.wantOne(container, in); err != nil {
			complaints = append(complaints, err)
		}
	}
	return complaints
}

func (p *publisher) wantOne(container string, in discovery.Instance) error {
	n := p.all[keyOf(in)]
	switch {
	case n == nil:
		n = p.add(container, in)
		p.wait.Go(func() { p.keep(n) })
	case n.ctx.Err() != nil:
		n.successor = container
	case n.container != container:
		n.successor = container
		return fmt.Errorf("skipping service %s: container %s announces it under the same ID, %s", in.Service, n.instance.Metadata[containerKey], in.ID)
	case !reflect.DeepEqual(n.instance, in):
		n.instance = in
		select { // in place of a change that was not made yet
		case <-n.changes:
		default:
		}
		n.changes <- in
	}
	return nil
}

// deregister removes the entry of a former life, unless it is wanted again.
func (p *publisher) deregister(in discovery.Instance) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.all[keyOf(in)] != nil {
		return
	}
	n := p.add("", in)
	n.end()
	p.wait.Go(func() { p.takeAndDeregister(n) })
}

// add is called under the lock.
func (p *publisher) add(container string, in discovery.Instance) *entry {
	n := &entry{
		key:       keyOf(in),
		container: container,
		name:      in.Metadata[containerKey],
		instance:  in,
		changes:   make(chan discovery.Instance, 1),
	}
	n.ctx, n.end = context.WithCancel(context.Background())
	p.all[n.key] = n
	return n
}

// ended forgets an entry.
func (p *publisher) ended(n *entry) {
	p.lock.Lock()
	delete(p.all, n.key)
	successor := n.successor
	p.lock.Unlock()
	p.again(successor)
}

// detach ends all and leaves them to their TTL. Nothing may be wanted any more.
func (p *publisher) detach() {
	p.cancel()
	p.lock.Lock()
	for _, n := range p.all {
		if n.ctx.Err() == nil {
			n.left = true
			n.end()
		}
	}
	p.lock.Unlock()
	p.wait.Wait()
}

// containers lists whose services are announced.
func (p *publisher) containers() []string {
	p.lock.Lock()
	defer p.lock.Unlock()
	var ids []string
	for _, n := range p.all {
		ids = append(ids, n.container)
	}
	return ids
}

// wanted gives the instances that are wanted now, by container.
func (p *publisher) wanted() map[string][]discovery.Instance {
	p.lock.Lock()
	defer p.lock.Unlock()
	all := map[string][]discovery.Instance{}
	for _, n := range p.all {
		if n.ctx.Err() == nil {
			all[n.container] = append(all[n.container], n.instance)
		}
	}
	return all
}

// keep is an entry's life.
func (p *publisher) keep(n *entry) {
	defer p.ended(n)
	for {
		err := p.register(n)
		if err == nil {
			return
		}
		p.explain(n, err)
		if !p.rests(n, err) {
			return
		}
	}
}

// register keeps the instance registered until the end, which gives nil, or until the registry has it no more.
func (p *publisher) register(n *entry) error {
	registration, err := p.registry.Register(context.Background(), p.newest(n), p.ttl)
	if err != nil {
		return err
	}
	for {
		select {
		case in := <-n.changes:
			if err := registration.Update(n.ctx, in); errors.Is(err, discovery.ErrInvalid) {
				p.explain(n, err) // the rest is the registration's: it tries again, or is done
			}
		case <-n.ctx.Done():
			return p.release(n, registration)
		case <-registration.Done():
			return registration.Err()
		}
	}
}

// newest is the instance as it is wanted now; changes up to here are done with.
func (p *publisher) newest(n *entry) discovery.Instance {
	p.lock.Lock()
	defer p.lock.Unlock()
	select {
	case <-n.changes:
	default:
	}
	return n.instance
}

func (p *publisher) release(n *entry, registration discovery.Registration) error {
	p.lock.Lock()
	left := n.left
	p.lock.Unlock()
	if left {
		registration.Leave()
		return nil
	}
	if err := registration.Close(); err != nil {
		p.log.Warn("cannot deregister", "service", n.service, "id", n.id, "error", err)
	}
	return nil
}

// explain logs why an entry is not there.
func (p *publisher) explain(n *entry, err error) {
	log := p.log.With("container", n.name, "service", n.service, "id", n.id, "error", err)
	switch hint := failure.Hint(err); {
	case hint != "":
		log = log.With("hint", hint)
	case errors.Is(err, discovery.ErrConflict):
		log = log.With("hint", "if another exporter has the same --host-id, give each its own")
	}
	log.Error("cannot register")
}

// rests waits until an entry that has failed may be tried again. It reports false at the end.
func (p *publisher) rests(n *entry, err error) bool {
	if !errors.Is(err, discovery.ErrInvalid) {
		return p.pause(n, errors.Is(err, discovery.ErrConflict))
	}
	select { // what cannot be written stays so until it is another
	case <-n.ctx.Done():
		return false
	case <-n.changes:
		return true
	}
}

// pause rests before the next try, which is not made while another keeps an entry that it has taken over. It reports false at the end.
func (p *publisher) pause(n *entry, taken bool) bool {
	tick := time.NewTicker(p.rest)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return false
		case <-tick.C:
		}
		if !taken || !p.stands(n) {
			return true
		}
	}
}

// stands reports whether the registry has the entry, as far as is known.
func (p *publisher) stands(n *entry) bool {
	snapshot, err := p.registry.Instances(n.ctx, n.service, discovery.Query{All: true})
	if err != nil {
		return true
	}
	for _, in := range snapshot.Instances {
		if in.ID == n.id {
			return true
		}
	}
	return false
}

// takeAndDeregister makes an entry of a former life its own, which the registry asks for, and deregisters it.
func (p *publisher) takeAndDeregister(n *entry) {
	defer p.ended(n)
	registration, err := p.registry.Register(context.Background(), n.instance, p.ttl)
	if err == nil {
		ctx, cancel := context.WithTimeout(p.ctx, answerTimeout)
		defer cancel()
		err = registration.WaitReady(ctx)
		err = errors.Join(err, registration.Close())
	}
	if err != nil {
		p.log.Warn("cannot deregister what an exporter left before", "service", n.service, "id", n.id, "error", err)
	}
}
