package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// deregisterTimeout bounds the deregistration, whose caller may be a process that was told to end.
const deregisterTimeout = 2 * time.Second

// Register keeps a lease in the group until ctx ends or the registration is closed. It implements the
// contract of discovery.Registration.
func Register(ctx context.Context, group *Group, lease Lease, what Registering) discovery.Registration {
	life, end := context.WithCancel(ctx)
	r := &registration{
		caller:      ctx,
		life:        life,
		end:         end,
		lease:       lease,
		Registering: what,
		id:          what.Instance.ID,
		service:     what.Instance.Service,
		ttl:         what.TTL,
		credentials: what.Instance.Credentials(),
		updates:     make(chan update),
		shared:      make(chan discovery.Credentials, 1),
		changes:     make(chan discovery.Credentials, 1),
		ready:       make(chan struct{}),
		done:        make(chan struct{}),
	}
	group.Go(life, r.run)
	return r
}

type registration struct {
	caller context.Context    // Register's
	life   context.Context    // ends with caller and Close
	end    context.CancelFunc //
	lease  Lease
	Registering
	id, service string

	// Of the goroutine that runs the registration.
	record     Record // of Instance, when encoded
	encoded    bool
	wanted     bool // there is to be a record
	registered bool // the lease is believed to stand
	dirty      bool // what stands there is not the record
	tried      bool // there may be something to deregister
	taken      bool // the ID was taken once, so it is not taken over again
	offered    bool // our own credentials were written once
	every      time.Duration
	patience   time.Duration // of the last write of a change that failed
	due        time.Time     // of the next renewal
	backoff    discovery.Backoff
	helpers    sync.WaitGroup

	updates chan update
	shared  chan discovery.Credentials // from the store
	changes chan discovery.Credentials // to the user
	ready   chan struct{}
	done    chan struct{}

	lock           sync.Mutex
	ttl            time.Duration
	credentials    discovery.Credentials
	last           error // why it is not ready yet
	err            error // why it ended
	left           bool  // the record is not to be removed
	deregistration error
}

type update struct {
	instance discovery.Instance
	result   chan error
	until    time.Time // an answer is due
}

func (r *registration) ID() string { return r.id }

func (r *registration) TTL() time.Duration {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.ttl
}

func (r *registration) Credentials() (discovery.Credentials, <-chan discovery.Credentials) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.credentials, r.changes
}

func (r *registration) Done() <-chan struct{} { return r.done }

func (r *registration) Err() error {
	select {
	case <-r.done:
		r.lock.Lock()
		defer r.lock.Unlock()
		return r.err
	default:
		return nil
	}
}

func (r *registration) WaitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	default:
	}
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		if err := r.Err(); err != nil {
			return err
		}
		return r.wrap(errors.New("it was closed before it was registered"))
	case <-ctx.Done():
		r.lock.Lock()
		defer r.lock.Unlock()
		if r.last != nil {
			return discovery.Mark(ctx.Err(), r.last)
		}
		return discovery.Mark(discovery.ErrUnavailable, r.wrap(ctx.Err()))
	}
}

func (r *registration) Update(ctx context.Context, in discovery.Instance) error {
	in.Service, in.ID = r.service, r.id
	in, err := in.Normalize()
	if err != nil {
		return r.wrap(err)
	}
	u := update{instance: in, result: make(chan error, 1)}
	select {
	case r.updates <- u:
	case <-r.done:
		return r.ended()
	case <-ctx.Done():
		return discovery.Mark(discovery.ErrUnavailable, r.wrap(ctx.Err()))
	}
	select {
	case err := <-u.result:
		return err
	case <-r.done:
		return r.ended()
	case <-ctx.Done():
		return discovery.Mark(discovery.ErrUnavailable, r.wrap(ctx.Err()))
	}
}

// ended is the error of a call that came after the end.
func (r *registration) ended() error {
	if err := r.Err(); err != nil {
		return err
	}
	return r.wrap(errors.New("the registration is closed"))
}

func (r *registration) Close() error {
	r.end()
	<-r.done
	return r.deregistration
}

func (r *registration) Leave() {
	r.lock.Lock()
	r.left = true
	r.lock.Unlock()
	r.end()
	<-r.done
}

func (r *registration) wrap(err error) error {
	return r.fail("register", r.service, err)
}

// run is the registration's life.
func (r *registration) run(ctx context.Context) {
	err := r.retain(ctx)
	if err == nil && r.caller.Err() != nil {
		err = r.wrap(context.Cause(r.caller))
	}
	r.end()
	deregistration := r.release(err)
	r.helpers.Wait()
	r.lock.Lock()
	r.err, r.deregistration = err, deregistration
	r.lock.Unlock()
	close(r.changes)
	close(r.done)
}

// retain registers and renews until ctx ends, which gives nil, or nothing more can be done.
func (r *registration) retain(ctx context.Context) error {
	var lost <-chan struct{}
	if l, ok := r.lease.(LossNotifier); ok {
		lost = l.Lost()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var waiting []update // their callers wait for the registry to have it, for r.Timeout each
	for {
		before := r.Instance
		changed := false
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-lost:
			r.registered = false
		case c := <-r.shared:
			if !r.adopt(c) {
				continue
			}
		case u := <-r.updates:
			r.change(u.instance)
			u.until = time.Now().Add(r.Timeout)
			waiting, changed = append(waiting, u), true
		}
		err := r.step(ctx)
		switch {
		case changed && errors.Is(err, discovery.ErrInvalid):
			last := len(waiting) - 1
			waiting[last].result <- err
			waiting = waiting[:last]
			r.change(before) // what the layout cannot write is refused; the registration goes on
		case ctx.Err() == nil && permanent(err):
			for _, u := range waiting {
				u.result <- err
			}
			return err
		default:
			waiting = slices.DeleteFunc(waiting, func(u update) bool { return r.answers(u, err) })
		}
		wait := r.next(err)
		for _, u := range waiting {
			wait = min(wait, time.Until(u.until))
		}
		timer.Reset(wait)
	}
}

// answers tells the caller of an update how it ended, once it has: the registry has the newest, or has not taken it in all
// the time of a call, while steps are shorter. A renewal that fails once the change is written is tried again, and no
// business of theirs.
func (r *registration) answers(u update, err error) bool {
	switch {
	case err == nil || r.registered && !r.dirty:
		u.result <- nil
	case !time.Now().Before(u.until):
		u.result <- err
	default:
		return false
	}
	return true
}

// next is when the next step is due.
func (r *registration) next(err error) time.Duration {
	if err == nil {
		r.backoff.Reset()
		return time.Until(r.due)
	}
	r.lock.Lock()
	r.last = err
	r.lock.Unlock()
	return r.backoff.Next()
}

// step brings the registry to what it should hold, and renews it.
func (r *registration) step(ctx context.Context) error {
	if err := r.encode(); err != nil {
		return r.wrap(err)
	}
	if !r.wanted {
		return r.warn("deregister", r.hide(ctx))
	}
	if r.registered {
		err := r.maintain(ctx)
		if !errors.Is(err, ErrLost) {
			return r.warn("renew", err)
		}
		r.Log.Warn("the registration was lost, registering again", "service", r.service, "id", r.id)
		r.registered = false
	}
	return r.warn("register", r.register(ctx))
}

// encode makes the record of what is to be registered.
func (r *registration) encode() error {
	if r.encoded {
		return nil
	}
	key, value, wanted, err := r.Encode(r.Instance)
	if err == nil && wanted && r.record.Key != "" && r.record.Key != key {
		err = discovery.Mark(discovery.ErrInvalid, errors.New("the key of a registration cannot change"))
	}
	if err != nil {
		return err
	}
	r.encoded, r.wanted = true, wanted
	r.record.Value, r.record.Instance, r.record.what = value, r.Instance, &r.Registering
	if wanted {
		r.record.Key = key
	}
	return nil
}

// hide keeps the record away while the instance is to have none.
func (r *registration) hide(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if err := r.share(ctx); err != nil {
		return err
	}
	if r.registered || r.tried {
		if err := r.lease.Deregister(ctx); err != nil {
			return r.fail("deregister", r.service, err)
		}
	}
	r.registered, r.tried, r.dirty = false, false, false
	r.taken = true // who registers the ID meanwhile is newer
	r.due = time.Now().Add(r.TTL() / 3)
	r.becomeReady()
	return nil
}

// warn logs what will be tried again.
func (r *registration) warn(what string, err error) error {
	if err != nil && !permanent(err) && !errors.Is(err, context.Canceled) {
		r.Log.Warn("cannot "+what+", trying again", "service", r.service, "id", r.id, "error", err)
	}
	return err
}

// maintain writes what has changed and renews when that is due: updates in a row must not keep it away.
func (r *registration) maintain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.Timeout, r.every))
	defer cancel()
	if r.dirty {
		if err := r.update(ctx); err != nil {
			return err
		}
	}
	now := time.Now()
	if now.Before(r.due) {
		return nil
	}
	if err := r.lease.Renew(ctx, r.record); err != nil {
		return r.fail("renew", r.service, err)
	}
	r.due = now.Add(r.every)
	return nil
}

// firstPatience is how long the first write of a change waits for its answer, each further one twice as long: what is
// on its way to a cluster's leader when that dies is never answered.
const firstPatience = time.Second

// update writes what has changed.
func (r *registration) update(ctx context.Context) error {
	r.patience = max(firstPatience, min(2*r.patience, r.every))
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := r.lease.Update(ctx, r.record); err != nil {
		return r.fail("update", r.service, err)
	}
	r.dirty, r.patience = false, 0
	return nil
}

func (r *registration) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if err := r.share(ctx); err != nil {
		return err
	}
	if err := r.encode(); err != nil { // with what was shared
		return r.wrap(err)
	}
	r.tried = true
	now := time.Now()
	grant, err := r.lease.Register(ctx, r.record, !r.taken)
	if err != nil {
		return r.wrap(err)
	}
	r.taken, r.registered, r.dirty = true, true, false
	r.every = grant.every()
	r.due = now.Add(r.every)
	r.lock.Lock()
	r.ttl = grant.TTL
	r.lock.Unlock()
	r.becomeReady()
	return nil
}

// becomeReady tells of the first registration. Only then are the credentials followed: what others shared
// before ours does not count.
func (r *registration) becomeReady() {
	select {
	case <-r.ready:
		return
	default:
	}
	close(r.ready)
	if r.Registering.Credentials != nil {
		r.helpers.Go(func() { r.followCredentials(r.life) })
	}
}

// release lets go of the record, one way or the other.
func (r *registration) release(end error) error {
	r.lock.Lock()
	left := r.left
	r.lock.Unlock()
	if !left && !errors.Is(end, discovery.ErrConflict) { // then the record is another's
		return r.deregister()
	}
	if l, ok := r.lease.(Detacher); ok {
		l.Detach()
	}
	return nil
}

func (r *registration) deregister() error {
	if !r.tried {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), deregisterTimeout)
	defer cancel()
	if err := r.lease.Deregister(ctx); err != nil {
		return fmt.Errorf("the entry stays until its TTL of %s runs out: %w", r.TTL(), r.fail("deregister", r.service, err))
	}
	return nil
}

// change sets what to register from now on. The credentials stay those that are shared.
func (r *registration) change(in discovery.Instance) {
	if r.Registering.Credentials != nil {
		in.User, in.Password = r.Instance.User, r.Instance.Password
	}
	r.Instance, r.encoded, r.dirty = in, false, true
	r.lock.Lock()
	r.credentials = in.Credentials()
	r.lock.Unlock()
}

// share offers our credentials at the first registration and takes over those in force later.
func (r *registration) share(ctx context.Context) error {
	if r.Registering.Credentials == nil {
		return nil
	}
	c, err := r.Registering.Credentials.ShareCredentials(ctx, r.service, r.Instance.Credentials(), r.offered)
	if err != nil {
		return err
	}
	r.offered = true
	r.adopt(c)
	return nil
}

// adopt takes over credentials and reports whether they are new.
func (r *registration) adopt(c discovery.Credentials) bool {
	if c.IsZero() || c == r.Instance.Credentials() || !r.offered {
		return false
	}
	r.Instance.User, r.Instance.Password, r.encoded, r.dirty = c.User, c.Password, false, true
	r.lock.Lock()
	r.credentials = c
	r.lock.Unlock()
	deliver(r.changes, c)
	return true
}

// followCredentials hands on what others share.
func (r *registration) followCredentials(ctx context.Context) {
	var backoff discovery.Backoff
	for {
		shared, err := r.Registering.Credentials.WatchCredentials(ctx, r.service)
		if err == nil {
			for c := range shared {
				deliver(r.shared, c)
			}
			return
		}
		if ctx.Err() == nil {
			r.Log.Debug("cannot watch credentials", "service", r.service, "error", err)
		}
		if backoff.Wait(ctx) != nil {
			return
		}
	}
}
