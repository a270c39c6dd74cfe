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

// announcing tells an announcer about what it does.
type announcing struct {
	registry discovery.Registry
	ttl      time.Duration
	rest     time.Duration          // after an announcement was taken away or refused
	again    func(container string) // to be looked at again
	log      *slog.Logger
}

// announcer keeps the registry true to what the containers are wanted to announce. Each announcement is a
// goroutine of its own, so a registry that is away holds nobody up.
type announcer struct {
	announcing

	ctx    context.Context // until leave
	cancel context.CancelFunc
	wait   sync.WaitGroup

	lock sync.Mutex
	all  map[key]*announcement
}

// announcement is one instance, until it has ended in the registry too. Two of one key never overlap.
type announcement struct {
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

func newAnnouncer(what announcing) *announcer {
	a := &announcer{announcing: what, all: map[key]*announcement{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// want makes these instances all that the container announces. It complains about those whose ID another container
// announces: they are looked at again when that ends.
func (a *announcer) want(container string, instances []discovery.Instance) (complaints []error) {
	wanted := map[key]bool{}
	for _, in := range instances {
		wanted[keyOf(in)] = true
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	for _, n := range a.all {
		if n.container == container && !wanted[n.key] {
			n.end()
		}
	}
	for _, in := range instances {
		if err := a.wantOne(container, in); err != nil {
			complaints = append(complaints, err)
		}
	}
	return complaints
}

func (a *announcer) wantOne(container string, in discovery.Instance) error {
	n := a.all[keyOf(in)]
	switch {
	case n == nil:
		n = a.add(container, in)
		a.wait.Go(func() { a.keep(n) })
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

// withdraw removes the entry of a former life, unless it is wanted again.
func (a *announcer) withdraw(in discovery.Instance) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.all[keyOf(in)] != nil {
		return
	}
	n := a.add("", in)
	n.end()
	a.wait.Go(func() { a.takeAndWithdraw(n) })
}

// add is called under the lock.
func (a *announcer) add(container string, in discovery.Instance) *announcement {
	n := &announcement{
		key:       keyOf(in),
		container: container,
		name:      in.Metadata[containerKey],
		instance:  in,
		changes:   make(chan discovery.Instance, 1),
	}
	n.ctx, n.end = context.WithCancel(context.Background())
	a.all[n.key] = n
	return n
}

// ended forgets an announcement.
func (a *announcer) ended(n *announcement) {
	a.lock.Lock()
	delete(a.all, n.key)
	successor := n.successor
	a.lock.Unlock()
	a.again(successor)
}

// leave ends all and leaves them to their TTL. Nothing may be wanted any more.
func (a *announcer) leave() {
	a.cancel()
	a.lock.Lock()
	for _, n := range a.all {
		if n.ctx.Err() == nil {
			n.left = true
			n.end()
		}
	}
	a.lock.Unlock()
	a.wait.Wait()
}

// containers lists whose services are announced.
func (a *announcer) containers() []string {
	a.lock.Lock()
	defer a.lock.Unlock()
	var ids []string
	for _, n := range a.all {
		ids = append(ids, n.container)
	}
	return ids
}

// announced gives the instances that are wanted now, by container.
func (a *announcer) announced() map[string][]discovery.Instance {
	a.lock.Lock()
	defer a.lock.Unlock()
	all := map[string][]discovery.Instance{}
	for _, n := range a.all {
		if n.ctx.Err() == nil {
			all[n.container] = append(all[n.container], n.instance)
		}
	}
	return all
}

// keep is an announcement's life.
func (a *announcer) keep(n *announcement) {
	defer a.ended(n)
	for {
		err := a.hold(n)
		if err == nil {
			return
		}
		a.explain(n, err)
		if !a.rests(n, err) {
			return
		}
	}
}

// hold announces until the end, which gives nil, or until the registry has it no more.
func (a *announcer) hold(n *announcement) error {
	registration, err := a.registry.Register(context.Background(), a.newest(n), a.ttl)
	if err != nil {
		return err
	}
	for {
		select {
		case in := <-n.changes:
			if err := registration.Update(n.ctx, in); errors.Is(err, discovery.ErrInvalid) {
				a.explain(n, err) // the rest is the registration's: it tries again, or is done
			}
		case <-n.ctx.Done():
			return a.release(n, registration)
		case <-registration.Done():
			return registration.Err()
		}
	}
}

// newest is the instance as it is wanted now; changes up to here are done with.
func (a *announcer) newest(n *announcement) discovery.Instance {
	a.lock.Lock()
	defer a.lock.Unlock()
	select {
	case <-n.changes:
	default:
	}
	return n.instance
}

func (a *announcer) release(n *announcement, registration discovery.Registration) error {
	a.lock.Lock()
	left := n.left
	a.lock.Unlock()
	if left {
		registration.Leave()
		return nil
	}
	if err := registration.Close(); err != nil {
		a.log.Warn("cannot withdraw", "service", n.service, "id", n.id, "error", err)
	}
	return nil
}

// explain logs why an announcement is not there.
func (a *announcer) explain(n *announcement, err error) {
	log := a.log.With("container", n.name, "service", n.service, "id", n.id, "error", err)
	switch hint := failure.Hint(err); {
	case hint != "":
		log = log.With("hint", hint)
	case errors.Is(err, discovery.ErrConflict):
		log = log.With("hint", "if another exporter has the same --host-id, give each its own")
	}
	log.Error("cannot announce")
}

// rests waits until an announcement that has failed may be tried again. It reports false at the end.
func (a *announcer) rests(n *announcement, err error) bool {
	if !errors.Is(err, discovery.ErrInvalid) {
		return a.pause(n, errors.Is(err, discovery.ErrConflict))
	}
	select { // what cannot be written stays so until it is another
	case <-n.ctx.Done():
		return false
	case <-n.changes:
		return true
	}
}

// pause rests before the next try, which an announcement that another has taken over does not make while the
// other keeps it. It reports false at the end.
func (a *announcer) pause(n *announcement, taken bool) bool {
	tick := time.NewTicker(a.rest)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return false
		case <-tick.C:
		}
		if !taken || !a.stands(n) {
			return true
		}
	}
}

// stands reports whether the registry has the entry, as far as is known.
func (a *announcer) stands(n *announcement) bool {
	snapshot, err := a.registry.Instances(n.ctx, n.service, discovery.Query{All: true})
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

// takeAndWithdraw makes an entry of a former life its own, which the registry asks for, and withdraws it.
func (a *announcer) takeAndWithdraw(n *announcement) {
	defer a.ended(n)
	registration, err := a.registry.Register(context.Background(), n.instance, a.ttl)
	if err == nil {
		ctx, cancel := context.WithTimeout(a.ctx, answerTimeout)
		defer cancel()
		err = registration.WaitReady(ctx)
		err = errors.Join(err, registration.Close())
	}
	if err != nil {
		a.log.Warn("cannot withdraw what an exporter left before", "service", n.service, "id", n.id, "error", err)
	}
}
