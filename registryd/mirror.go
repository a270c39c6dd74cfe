package registryd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/registryd/node"
)

// mirror is a copy of what one caller may see: every service's instances without credentials, and the names of
// all values. Each part has the number of the change that it was last part of, so a reader takes what is newer
// than what it has, however slow it is.
type mirror struct {
	store    *store
	behind   *behind
	follower *driver.Follower   // of mirrors, and so are the next two
	end      context.CancelFunc // ends the follower
	readers  int

	lock        sync.Mutex
	change      int64 // the newest
	everything  *audience
	byService   map[string]*audience // who reads one service alone
	services    map[string]*mirrored
	touched     map[string]*mirrored // services with changes that are not published
	telling     *time.Timer          // publishes them once they are due; nil: never needed
	empty       map[string]*mirrored // services that are remembered, and have no instances
	swept       time.Time            // when these were last looked at
	round       int64                // of reading all
	values      map[string]clientv3.LeaseID
	valuesAt    int64  // when the names of values last changed
	newValues   bool   // their names have changed, which is not published
	current     bool   // false until the first read, and while etcd cannot be asked
	denied      string // why the caller may not read; "" while it may
	writable    bool   // the caller may write every value
	currentAt   int64  // when one of these three last changed
	forgottenAt int64  // when all was last forgotten
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

func newMirror(s *store, b *behind) *mirror {
	return &mirror{
		store:      s,
		behind:     b,
		everything: newAudience(),
		byService:  map[string]*audience{},
		services:   map[string]*mirrored{},
		touched:    map[string]*mirrored{},
		empty:      map[string]*mirrored{},
		values:     map[string]clientv3.LeaseID{},
	}
}

// outage tells readers, once, that what they have may be old. What the caller may not see any more is forgotten.
func (m *mirror) outage(err error) {
	denied := ""
	if node.IsDenial(err) || errors.As(err, new(*crowdError)) {
		denied = refusalOf(err).reason
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.currentAt > 0 && !m.current && m.denied == denied {
		return
	}
	if denied != "" {
		m.forget()
	}
	m.publishAll()
	m.current, m.denied, m.currentAt = false, denied, m.change
	if denied != "" {
		m.forgottenAt = m.change
	}
	m.wakeAll()
}

func (m *mirror) forget() {
	clear(m.services)
	clear(m.touched)
	clear(m.empty)
	clear(m.values)
	m.valuesAt = 0
}

// apply takes over changes and tells of them: of those since the last at their pace, and of all there is at once.
func (m *mirror) apply(c driver.Changes, writable bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if !c.Whole {
		m.take(c.Items)
		m.tellAtPace()
		return
	}
	m.round++
	clear(m.values)
	m.take(c.Items)
	m.dropOld()
	m.newValues = true
	m.publishAll()
	if !m.current || m.writable != writable {
		m.current, m.denied, m.writable, m.currentAt = true, "", writable, m.change
	}
	m.wakeAll()
}

func (m *mirror) take(items []driver.Item) {
	for _, item := range items {
		if item.Gone {
			m.drop(item.Key)
		} else {
			m.put(item)
		}
	}
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

// put takes over one record. One that is malformed is as good as none.
func (m *mirror) put(item driver.Item) {
	if name, err := m.store.keys.ValueName(item.Key); err == nil {
		if _, known := m.values[name]; !known {
			m.newValues = true
		}
		m.values[name] = leaseOf(item)
		return
	}
	in, ok := layout.DecodeOne(m.store.keys, m.store.log, layout.Record{Key: item.Key, Value: item.Value})
	if !ok {
		m.drop(item.Key)
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
	was, known := service.instances[in.ID]
	if !known {
		service.sorted = nil
	}
	now := mirroredInstance{encoded, leaseOf(item), m.round}
	if !known || was.lease != now.lease || !bytes.Equal(was.encoded, encoded) {
		m.touch(in.Service, in.ID)
	}
	service.instances[in.ID] = now
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
