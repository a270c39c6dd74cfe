package registryd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	heartbeatTime  = 15 * time.Second // between two signs of life
	leasesTime     = 2 * time.Second  // between two looks at what is left of leases
	mostLeasesOnce = 500              // looked at each time; with more they take turns
)

// watch answers /watch: server-sent events, each the whole of one thing.
//
//	service  a snapshot of one service, as /services/NAME?all=1; at first of every one
//	change   with ?changes=1, after the first snapshots in their place: {"service":NAME,"put":[…],"gone":[…]} has
//	         the instances that are new or have changed, and the IDs of those that are gone
//	values   the names of all values
//	current  whether the above is as etcd has it: {"current":true,"writable":true}, which also says whether this
//	         caller may write all values, or false with a reason; "denied":true when the above is to be forgotten
//	leases   with ?leases=1: seconds that are left, and were granted, by service and ID, and by value
//
// With ?service=NAME it is that service's alone.
func (h *handler) watch(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r, "service", "changes", "leases")
	if err != nil {
		return err
	}
	if query.Has("service") && query.Get("service") == "" {
		return problem(http.StatusBadRequest, "the service that is asked for has no name")
	}
	changes, err := queryBool(query, "changes")
	if err != nil {
		return err
	}
	leases, err := queryBool(query, "leases")
	if err != nil {
		return err
	}
	who, change := callerOf(r.Context()), h.rights.change()
	if !h.gate.entitled(r.Context(), who) { // any more
		return askForLogin("wrong user, password or token")
	}
	ctx, cancel := h.whileEntitled(r.Context(), change, func() bool { return h.gate.entitled(h.life, who) })
	defer cancel()
	m, leave, err := h.mirrors.join(who)
	if err != nil {
		return err
	}
	defer leave()
	h.metrics.streams.Inc()
	defer h.metrics.streams.Dec()
	w.Header().Set("Content-Type", "text/event-stream")
	// It ends with the connection: events in chunks take HTTP/1.1 three writes each, and their readers three reads.
	w.Header().Set("Transfer-Encoding", "identity")
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it is read to see whether the client is there
	s := &stream{ctx: ctx, w: w, control: http.NewResponseController(w), mirror: m, only: query.Get("service"), all: !query.Has("service"), changes: changes, leases: leases}
	defer s.drop()
	s.readers = m.everything
	if !s.all {
		var leave func()
		s.readers, leave = m.attend(s.only)
		defer leave()
	}
	s.run()
	return nil
}

// stream is one reader of a mirror.
type stream struct {
	ctx     context.Context
	w       http.ResponseWriter
	control *http.ResponseController
	mirror  *mirror
	readers *audience // whom it is woken with
	all     bool
	only    string // the service that is asked for, unless all
	changes bool   // are sent in place of whole states, where they are enough
	leases  bool

	seen   int64    // change
	missed bool     // that all was forgotten: it has to begin anew
	events []*event // that are to be sent, before
	buffer bytes.Buffer
	turn   int // of the leases
}

// run ends with the client, the server, or a client that does not take what it is sent.
func (s *stream) run() {
	heartbeat := time.NewTicker(heartbeatTime)
	defer heartbeat.Stop()
	var clock <-chan time.Time
	if s.leases {
		ticker := time.NewTicker(leasesTime)
		defer ticker.Stop()
		clock = ticker.C
	}
	for {
		changed := s.gather()
		if s.leases {
			s.addLeases(s.newlyLeased())
		}
		if s.missed || s.send() != nil {
			return
		}
		select {
		case <-changed:
			if s.all && !s.pause() {
				return
			}
		case <-clock:
			s.addLeases(s.turns(s.leased()))
		case <-heartbeat.C:
			s.buffer.WriteString(":\n\n")
		case <-s.ctx.Done():
			return
		}
	}
}

// pause lets a reader of all services be told of some changes together. It is shorter than a service's own pace, so
// that no change of it is missed. False: the reader has gone.
func (s *stream) pause() bool {
	select {
	case <-time.After(gatherTime / 2):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// newlyLeased are instances of which the reader is told now. Others come by turns.
func (s *stream) newlyLeased() []leased {
	var all []leased
	for _, event := range s.events {
		all = append(all, event.leased...)
	}
	return all[:min(len(all), mostLeasesOnce)]
}

// send writes what was gathered. Without anything it sends the head of the answer, the first time.
func (s *stream) send() error {
	for len(s.events) > 0 {
		next := s.events[0]
		if err := s.write(next.data); err != nil {
			return err
		}
		s.mirror.behind.read(next, s)
		s.events = s.events[1:]
	}
	if s.buffer.Len() > 0 {
		if err := s.write(s.buffer.Bytes()); err != nil {
			return err
		}
		s.buffer = bytes.Buffer{}
	}
	return s.control.Flush()
}

func (s *stream) write(data []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(stuckTime))
	_, err := s.w.Write(data)
	return err
}

// cut ends a write that is under way.
func (s *stream) cut() { _ = s.control.SetWriteDeadline(time.Now()) }

// drop lets go of what was not sent.
func (s *stream) drop() {
	for _, event := range s.events {
		s.mirror.behind.read(event, s)
	}
}

// gather takes what is newer than what was sent, and gives a channel that is closed when there is more.
func (s *stream) gather() <-chan struct{} {
	m := s.mirror
	m.lock.Lock()
	defer m.lock.Unlock()
	if s.seen > 0 && s.seen < m.forgottenAt && m.denied == "" {
		s.missed = true
		return s.readers.changed
	}
	if service := m.services[s.only]; !s.all && service != nil && service.at > s.seen {
		s.take(s.eventOf(s.only, service))
	}
	if s.all {
		s.gatherServices()
	}
	if s.all && m.valuesAt > s.seen {
		names := slices.Sorted(maps.Keys(m.values))
		if names == nil {
			names = []string{}
		}
		s.addJSON("values", names)
	}
	if m.currentAt > s.seen || s.seen == 0 && m.current {
		s.addCurrent()
	}
	s.seen = m.change
	return s.readers.changed
}

// gatherServices takes all of them, but at first not those that are gone.
func (s *stream) gatherServices() {
	for name, service := range s.mirror.services {
		if service.at > s.seen && (s.seen > 0 || len(service.instances) > 0) {
			s.take(s.eventOf(name, service))
		}
	}
}

// eventOf is the change alone for a reader that has the state before.
func (s *stream) eventOf(name string, service *mirrored) *event {
	if s.changes && s.seen > 0 && s.seen >= service.before {
		return service.differenceEvent(name)
	}
	return service.wholeEvent(name)
}

func (s *stream) addCurrent() {
	m := s.mirror
	state := map[string]any{"current": m.current}
	switch {
	case m.current:
		state["writable"] = m.writable
	case m.denied != "":
		state["denied"] = true
		state["reason"] = m.denied
	case !m.current:
		state["reason"] = "etcd cannot be asked; this is the last known"
	}
	if _, known := m.services[s.only]; m.current && !s.all && !known {
		s.take(newWhole(s.only, nil, nil))
	}
	s.addJSON("current", state)
}

func (s *stream) take(e *event) {
	s.mirror.behind.take(e, s)
	s.events = append(s.events, e)
}

func (s *stream) addJSON(event string, data any) {
	if encoded, err := json.Marshal(data); err == nil {
		fmt.Fprintf(&s.buffer, "event: %s\ndata: %s\n\n", event, encoded)
	}
}

// leased is an instance, or a value when it has no service.
type leased struct {
	service, name string
	lease         clientv3.LeaseID
}

// addLeases tells what is left of leases.
func (s *stream) addLeases(of []leased) {
	services, values := map[string]map[string][2]int64{}, map[string][2]int64{}
	for _, l := range of {
		answer, err := call(s.ctx, s.mirror.store, func(ctx context.Context) (*clientv3.LeaseTimeToLiveResponse, error) {
			return s.mirror.store.client.TimeToLive(ctx, l.lease)
		})
		if err != nil {
			return
		}
		left := [2]int64{answer.TTL, answer.GrantedTTL}
		switch {
		case answer.TTL < 0: // it ended meanwhile
		case l.service == "":
			values[l.name] = left
		case services[l.service] == nil:
			services[l.service] = map[string][2]int64{l.name: left}
		default:
			services[l.service][l.name] = left
		}
	}
	if len(services)+len(values) > 0 {
		s.addJSON("leases", map[string]any{"services": services, "values": values})
	}
}

// turns takes so many at a time that etcd is not kept busy.
func (s *stream) turns(all []leased) []leased {
	if len(all) <= mostLeasesOnce {
		return all
	}
	start := s.turn % len(all)
	s.turn = start + mostLeasesOnce
	return append(all[start:], all[:start]...)[:mostLeasesOnce]
}

// leased gives all that has a lease, in an order that stays.
func (s *stream) leased() []leased {
	m := s.mirror
	m.lock.Lock()
	defer m.lock.Unlock()
	var all []leased
	for _, service := range slices.Sorted(maps.Keys(m.services)) {
		if !s.all && service != s.only {
			continue
		}
		instances := m.services[service].instances
		for _, id := range slices.Sorted(maps.Keys(instances)) {
			if lease := instances[id].lease; lease != 0 {
				all = append(all, leased{service, id, lease})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.values)) {
		if lease := m.values[name]; lease != 0 && s.all {
			all = append(all, leased{"", name, lease})
		}
	}
	return all
}
