package registryd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/registryd/node"
)

// gatherTime is how long changes are gathered before those who watch are told of them together.
const gatherTime = 50 * time.Millisecond

// rememberedChanges is how long a service without instances is remembered, for readers that are behind. One that
// takes nothing for stuckTime is cut off before.
const rememberedChanges = int64(4 * stuckTime / gatherTime)

// mostMirrors bounds how many callers watch at a time. One caller may do so as often as it likes.
const mostMirrors = 100

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
			return nil, nil, problem(http.StatusServiceUnavailable, "more than %d users watch already", mostMirrors)
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

	lock      sync.Mutex
	unsent    bool          // there are changes that are not published
	change    int64         // the newest
	changed   chan struct{} // closed at the next
	services  map[string]*mirrored
	values    map[string]clientv3.LeaseID
	valuesAt  int64 // when the names of values last changed
	current   bool  // false until the first read, and while etcd cannot be asked
	currentAt int64
	denied    error
}

// mirrored is one service.
type mirrored struct {
	at        int64
	dirty     bool
	instances map[string]mirroredInstance
	event     *event
}

// mirroredInstance is kept as it is told, because one of many changes at a time.
type mirroredInstance struct {
	encoded []byte // of a discovery.Instance
	lease   clientv3.LeaseID
}

func newMirror(ms *mirrors, end context.CancelFunc) *mirror {
	return &mirror{
		store:    ms.store,
		rights:   ms.rights,
		behind:   ms.behind,
		end:      end,
		changed:  make(chan struct{}),
		services: map[string]*mirrored{},
		values:   map[string]clientv3.LeaseID{},
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
	if node.IsDenial(err) || errors.As(err, new(*refusal)) || errors.As(err, new(*crowdError)) {
		m.denied = err
		m.forget()
	}
	m.current = false
	m.publish()
	m.currentAt = m.change
}

var errRights = errors.New("users or roles of etcd have changed")

// forget drops what the caller may not see any more.
func (m *mirror) forget() {
	clear(m.services)
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
	m.replace(state.Responses[0].GetResponseRange().Kvs, state.Responses[1].GetResponseRange().Kvs)
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
	waiting := true
	for {
		var response clientv3.WatchResponse
		var ok bool
		select {
		case response, ok = <-ofServices:
		case response, ok = <-ofValues:
		case <-rights:
			return errRights
		case <-timer.C:
			m.tell()
			waiting = false
			continue
		}
		if err := response.Err(); err != nil {
			return err
		}
		if !ok {
			return errors.New("the watch was ended")
		}
		m.take(response.Events)
		if !waiting {
			timer.Reset(gatherTime)
			waiting = true
		}
	}
}

// replace makes the mirror what etcd has.
func (m *mirror) replace(services, values []*mvccpb.KeyValue) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, service := range m.services {
		service.dirty = service.dirty || len(service.instances) > 0
		clear(service.instances)
	}
	clear(m.values)
	for _, kv := range services {
		m.put(kv)
	}
	for _, kv := range values {
		m.put(kv)
	}
	m.publish()
	m.valuesAt = m.change
	if !m.current {
		m.current, m.denied, m.currentAt = true, nil, m.change
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

func (m *mirror) tell() {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.unsent {
		m.publish()
	}
}

// put takes over one record. One that is malformed is as good as none.
func (m *mirror) put(kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	if name, err := m.store.keys.ValueName(key); err == nil {
		if _, known := m.values[name]; !known {
			m.valuesAt, m.unsent = m.change+1, true
		}
		m.values[name] = clientv3.LeaseID(kv.Lease)
		return
	}
	in, ok := layout.DecodeOne(m.store.keys, m.store.log, layout.Record{Key: key, Value: kv.Value})
	if !ok {
		m.drop(key)
		return
	}
	service := m.services[in.Service]
	if service == nil {
		service = &mirrored{instances: map[string]mirroredInstance{}}
		m.services[in.Service] = service
	}
	encoded, err := json.Marshal(shown(in))
	if err != nil { // it was decoded from JSON
		return
	}
	service.dirty, m.unsent = true, true
	service.instances[in.ID] = mirroredInstance{encoded, clientv3.LeaseID(kv.Lease)}
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
		m.valuesAt, m.unsent = m.change+1, true
		return
	}
	in, err := m.store.keys.Decode(key, []byte("{}")) // the key alone says which it was
	if err != nil {
		return
	}
	if service := m.services[in.Service]; service != nil {
		delete(service.instances, in.ID)
		service.dirty, m.unsent = true, true
	}
}

// publish numbers what has changed and wakes the readers.
func (m *mirror) publish() {
	m.change++
	m.unsent = false
	for name, service := range m.services {
		if !service.dirty && len(service.instances) == 0 && service.at < m.change-rememberedChanges {
			delete(m.services, name)
		}
		if service.dirty {
			service.dirty, service.at = false, m.change
			m.behind.replaced(service.event)
			service.event = newEvent(name, service.instances)
		}
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// newEvent writes a discovery.Snapshot, sorted by ID, as readers are sent it.
func newEvent(name string, instances map[string]mirroredInstance) *event {
	quoted, _ := json.Marshal(name) // any string can be encoded
	var encoded bytes.Buffer
	fmt.Fprintf(&encoded, "event: service\ndata: {\"service\":%s,\"instances\":[", quoted)
	for i, id := range slices.Sorted(maps.Keys(instances)) {
		if i > 0 {
			encoded.WriteByte(',')
		}
		encoded.Write(instances[id].encoded)
	}
	encoded.WriteString("]}\n\n")
	return &event{data: encoded.Bytes(), readers: map[*stream]bool{}}
}
