package registryd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/registryd/node"
)

// gatherTime is the least time between two states of a service that those who watch are told of: the first change is
// told at once, others within it together.
const gatherTime = 50 * time.Millisecond

// rememberedTime is how long a service without instances is remembered, for readers that are behind. One that takes
// nothing for stuckTime is cut off before.
const rememberedTime = 4 * stuckTime

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

// join gives the mirror of a caller, which goes on until everyone has left it.
func (ms *mirrors) join(who caller) (m *mirror, leave func(), err error) {
	ms.lock.Lock()
	defer ms.lock.Unlock()
	who.peer = ""
	m = ms.byCaller[who]
	if m == nil {
		if len(ms.byCaller) >= mostMirrors {
			return nil, nil, errManyWatch
		}
		ctx, end := context.WithCancel(withCaller(ms.life, who))
		m = newMirror(ms, end)
		ms.byCaller[who] = m
		go m.run(ctx)
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

// mirror is a copy of what one caller may see: every service's instances without credentials, and the names of
// all values. Each part has the number of the change that it was last part of, so a reader takes what is newer
// than what it has, however slow it is.
type mirror struct {
	store   *store
	rights  *rights
	behind  *behind
	end     context.CancelFunc
	readers int // of mirrors

	lock        sync.Mutex
	change      int64 // the newest
	everything  *audience
	byService   map[string]*audience // who reads one service alone
	services    map[string]*mirrored
	touched     map[string]*mirrored // services with changes that are not published
	empty       map[string]*mirrored // services that are remembered, and have no instances
	swept       time.Time            // when these were last looked at
	round       int64                // of reading all
	values      map[string]clientv3.LeaseID
	valuesAt    int64 // when the names of values last changed
	newValues   bool  // their names have changed, which is not published
	current     bool  // false until the first read, and while etcd cannot be asked
	writable    bool  // the caller may write every value
	currentAt   int64
	forgottenAt int64 // when all was last forgotten
	denied      error
}

// mirrored is one service.
type mirrored struct {
	at         int64     // when it last changed
	before     int64     // when it had changed before
	told       time.Time // when that was published
	instances  map[string]mirroredInstance
	touched    map[string]bool // IDs with changes that are not published
	changed    []string        // IDs that changed from before to at
	sorted     []string        // all IDs, once somebody has asked for its state; nil when one came or went since
	whole      *event          // its state, once somebody has asked for it
	difference *event          // from before to at, once somebody has asked for it
}

// mirroredInstance is kept as it is told, because one of many changes at a time.
type mirroredInstance struct {
	encoded []byte // of a discovery.Instance
	lease   clientv3.LeaseID
	round   int64
}

func newMirror(ms *mirrors, end context.CancelFunc) *mirror {
	return &mirror{
		store:      ms.store,
		rights:     ms.rights,
		behind:     ms.behind,
		end:        end,
		everything: newAudience(),
		byService:  map[string]*audience{},
		services:   map[string]*mirrored{},
		touched:    map[string]*mirrored{},
		empty:      map[string]*mirrored{},
		values:     map[string]clientv3.LeaseID{},
	}
}

// run follows etcd until ctx ends.
func (m *mirror) run(ctx context.Context) {
	var backoff discovery.Backoff
	for ctx.Err() == nil {
		err := m.follow(ctx, backoff.Reset)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRights) {
			continue // read anew, with the rights of now
		}
		m.outage(err)
		if backoff.Wait(ctx) != nil {
			return
		}
	}
}

// outage tells readers that what they have may be old.
func (m *mirror) outage(err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.denied = nil
	if node.IsDenial(err) || errors.As(err, new(*crowdError)) {
		m.denied = err
		m.forget()
	}
	m.current = false
	m.publishAll()
	m.currentAt = m.change
	if m.denied != nil {
		m.forgottenAt = m.change
	}
	m.wakeAll()
}

var errRights = errors.New("users or roles of etcd have changed")

// forget drops what the caller may not see any more.
func (m *mirror) forget() {
	clear(m.services)
	clear(m.touched)
	clear(m.empty)
	clear(m.values)
	m.valuesAt = 0
}

// follow reads all and then every change, until that breaks.
func (m *mirror) follow(ctx context.Context, good func()) error {
	rights := m.rights.change()
	services, values := m.store.keys.ServicesPrefix(), m.store.keys.ValuesPrefix()
	state, err := call(ctx, m.store, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return m.store.client.Txn(ctx).Then(
			clientv3.OpGet(services, clientv3.WithPrefix()),
			// The order makes etcd 3.7 look the keys' leases up, which it does not for keys alone.
			clientv3.OpGet(values, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithSort(clientv3.SortByValue, clientv3.SortAscend)),
		).Commit()
	})
	if err != nil {
		return err
	}
	good()
	writable := m.store.mayWrite(ctx, values)
	m.replace(state.Responses[0].GetResponseRange().Kvs, state.Responses[1].GetResponseRange().Kvs, writable)
	_, err = asCaller(ctx, m.store, func(ctx context.Context) (any, error) {
		return nil, m.watch(ctx, services, values, state.Header.Revision+1, rights)
	})
	return err
}

func (m *mirror) watch(ctx context.Context, services, values string, revision int64, rights <-chan struct{}) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	from := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(revision)}
	ofServices, ofValues := m.store.client.Watch(ctx, services, from...), m.store.client.Watch(ctx, values, from...)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for {
		var response clientv3.WatchResponse
		var ok bool
		select {
		case response, ok = <-ofServices:
		case response, ok = <-ofValues:
		case <-rights:
			return errRights
		case now := <-timer.C:
			m.tellLater(timer, now)
			continue
		}
		if err := response.Err(); err != nil {
			return err
		}
		if !ok {
			return errors.New("the watch was ended")
		}
		m.take(response.Events)
		m.tellLater(timer, time.Now())
	}
}

// tellLater tells what is due, and sets the timer for what is not.
func (m *mirror) tellLater(timer *time.Timer, now time.Time) {
	if left := m.tell(now); left > 0 {
		timer.Reset(left)
	}
}

// mayWrite reports whether the caller may write what begins with prefix: etcd checks all that a transaction could
// do, and this one never does it.
func (s *store) mayWrite(ctx context.Context, prefix string) bool {
	_, err := call(ctx, s, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).If(clientv3.Compare(clientv3.Version(prefix), "<", 0)).Then(clientv3.OpPut(prefix, "")).Commit()
	})
	return !node.IsDenial(err)
}

// replace makes the mirror what etcd has.
func (m *mirror) replace(services, values []*mvccpb.KeyValue, writable bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.round++
	clear(m.values)
	for _, kv := range services {
		m.put(kv)
	}
	for _, kv := range values {
		m.put(kv)
	}
	m.dropOld()
	m.newValues = true
	m.publishAll()
	if !m.current || m.writable != writable {
		m.current, m.writable, m.denied, m.currentAt = true, writable, nil, m.change
	}
	m.wakeAll()
}

// dropOld removes what was not there when all was last read.
func (m *mirror) dropOld() {
	for name, service := range m.services {
		for id, in := range service.instances {
			if in.round != m.round {
				m.dropInstance(name, id)
			}
		}
	}
}

// take takes over changes; tell makes them known.
func (m *mirror) take(events []*clientv3.Event) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, event := range events {
		if event.Type == clientv3.EventTypeDelete {
			m.drop(string(event.Kv.Key))
		} else {
			m.put(event.Kv)
		}
	}
}

// tell publishes what has not changed a moment ago, and gives the time until more is due; 0: nothing is left.
func (m *mirror) tell(now time.Time) (left time.Duration) {
	m.lock.Lock()
	defer m.lock.Unlock()
	var due []string
	for name, service := range m.touched {
		switch rest := gatherTime - now.Sub(service.told); {
		case rest <= 0:
			due = append(due, name)
		case left == 0 || rest < left:
			left = rest
		}
	}
	if len(due) > 0 || m.newValues {
		m.publish(due, now)
	}
	return left
}

// put takes over one record. One that is malformed is as good as none.
func (m *mirror) put(kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	if name, err := m.store.keys.ValueName(key); err == nil {
		if _, known := m.values[name]; !known {
			m.newValues = true
		}
		m.values[name] = clientv3.LeaseID(kv.Lease)
		return
	}
	in, ok := layout.DecodeOne(m.store.keys, m.store.log, layout.Record{Key: key, Value: kv.Value})
	if !ok {
		m.drop(key)
		return
	}
	encoded, err := json.Marshal(shown(in))
	if err != nil { // it was decoded from JSON
		return
	}
	service := m.services[in.Service]
	if service == nil {
		service = &mirrored{instances: map[string]mirroredInstance{}}
		m.services[in.Service] = service
	}
	lease := clientv3.LeaseID(kv.Lease)
	was, known := service.instances[in.ID]
	if !known {
		service.sorted = nil
	}
	if !known || was.lease != lease || !bytes.Equal(was.encoded, encoded) {
		m.touch(in.Service, in.ID)
	}
	service.instances[in.ID] = mirroredInstance{encoded, lease, m.round}
}

// touch notes that an instance is not what was published.
func (m *mirror) touch(name, id string) {
	service := m.services[name]
	if service.touched == nil {
		service.touched = map[string]bool{}
	}
	service.touched[id] = true
	m.touched[name] = service
}

// shown is an instance for the page: it says that there are credentials, and not which.
func shown(in discovery.Instance) discovery.Instance {
	secret := in.User != "" || in.Password != ""
	in = withoutCredentials(in)
	if secret {
		in.Unknown = map[string]discovery.RawField{"has_credentials": discovery.RawField("true")}
	}
	return in
}

func (m *mirror) drop(key string) {
	if name, err := m.store.keys.ValueName(key); err == nil {
		delete(m.values, name)
		m.newValues = true
		return
	}
	in, err := m.store.keys.Decode(key, []byte("{}")) // the key alone says which it was
	if err != nil {
		return
	}
	m.dropInstance(in.Service, in.ID)
}

func (m *mirror) dropInstance(name, id string) {
	service := m.services[name]
	if service == nil {
		return
	}
	if _, known := service.instances[id]; known {
		delete(service.instances, id)
		service.sorted = nil
		m.touch(name, id)
	}
}

func (m *mirror) publishAll() { m.publish(slices.Collect(maps.Keys(m.touched)), time.Now()) }

// publish numbers what has changed, which some services and the names of values have, and wakes who reads that.
func (m *mirror) publish(services []string, now time.Time) {
	m.change++
	for _, name := range services {
		service := m.touched[name]
		service.publish(name, m.change, m.behind)
		service.told = now
		delete(m.touched, name)
		delete(m.empty, name)
		if len(service.instances) == 0 {
			m.empty[name] = service
		}
		if readers := m.byService[name]; readers != nil {
			readers.wake()
		}
	}
	if m.newValues {
		m.newValues, m.valuesAt = false, m.change
	}
	m.sweep(now)
	m.everything.wake()
}

// sweep forgets services that have had no instances for a while.
func (m *mirror) sweep(now time.Time) {
	if now.Sub(m.swept) < rememberedTime/4 {
		return
	}
	m.swept = now
	for name, service := range m.empty {
		if now.Sub(service.told) > rememberedTime {
			delete(m.services, name)
			delete(m.empty, name)
		}
	}
}

// wakeAll wakes all readers.
func (m *mirror) wakeAll() {
	m.everything.wake()
	for _, readers := range m.byService {
		readers.wake()
	}
}

// audience is who reads the same.
type audience struct {
	readers int
	changed chan struct{} // closed at the next change
}

func newAudience() *audience { return &audience{changed: make(chan struct{})} }

func (a *audience) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// attend adds a reader of one service, until leave.
func (m *mirror) attend(service string) (readers *audience, leave func()) {
	m.lock.Lock()
	defer m.lock.Unlock()
	readers = m.byService[service]
	if readers == nil {
		readers = newAudience()
		m.byService[service] = readers
	}
	readers.readers++
	return readers, func() {
		m.lock.Lock()
		defer m.lock.Unlock()
		if readers.readers--; readers.readers == 0 {
			delete(m.byService, service)
		}
	}
}
