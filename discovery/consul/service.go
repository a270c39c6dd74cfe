package consul

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// service is all instances of one service, as they were last read. What is read changes under the feed's lock.
type service struct {
	*feed
	name   string
	prefix string // of the keys of its records

	index   uint64
	records map[string]record // by key
	faces   map[string][]aspect
	pilots  []discovery.Instance // in the layout containerpilot, which has nothing else

	at    uint64               // the version that all and views are of
	all   []discovery.Instance // nil: to be made
	views map[string]discovery.Snapshot
}

// record is an entry of the KV store as it was read.
type record struct {
	modified uint64
	session  string // which tells it apart from one that stood there before Consul lost its data
	owner    uint64
	instance discovery.Instance
	ok       bool // it is no malformed one, and a session holds it
}

// aspect is what the catalogue has to say about an instance, beside its record.
type aspect struct {
	owner    uint64
	failing  bool
	tags     []string // if others may change them: override
	override bool
}

func (r *registry) newService(name string) (*service, error) {
	prefix, err := r.layout.ServicePrefix(name)
	if err == nil && r.pilot() {
		err = pilotName(name)
	}
	s := &service{feed: newFeed(r, "watch service", name), name: name, prefix: plain(prefix)}
	if r.pilot() {
		s.ask(s.queryPilots)
	} else {
		s.ask(s.queryRecords, s.queryFaces)
	}
	return s, err
}

func (s *service) follows() *feed { return s.feed }

// fetch asks once, without following. Whose record is there has a check that does not fail: asked in this order,
// nobody is taken for failing by what the catalogue had before.
func (s *service) fetch(ctx context.Context, client *client) error {
	for _, p := range s.polls {
		take, _, err := p.ask(ctx, client, s.registry.reading(ctx))
		if err != nil {
			return err
		}
		take()
	}
	return nil
}

func (s *service) queryRecords(ctx context.Context, client *client, q *api.QueryOptions) (func() bool, uint64, error) {
	entries, meta, err := client.KV().List(listed(s.prefix), q)
	if err == nil && len(entries) == 0 && (q.WaitIndex == 0 || s.known()) {
		err = s.registry.mayRead(ctx, client, s.prefix)
	}
	if err != nil {
		return nil, 0, err
	}
	return func() bool { return s.takeRecords(entries, meta.LastIndex) }, meta.LastIndex, nil
}

// known reports whether there are records.
func (s *service) known() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.records) > 0
}

// takeRecords decodes what is new.
func (s *service) takeRecords(entries api.KVPairs, index uint64) (changed bool) {
	s.index = index
	now := make(map[string]record, len(entries))
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Key, s.prefix) {
			continue // see listed
		}
		was, known := s.records[entry.Key]
		if !known || was.modified != entry.ModifyIndex || was.session != entry.Session {
			was, changed = s.registry.decode(entry), true
		}
		now[entry.Key] = was
	}
	changed = changed || len(now) != len(s.records)
	s.records = now
	return changed
}

// decode reads one entry. A malformed one, and one that stays whoever dies, is skipped with a warning.
func (r *registry) decode(entry *api.KVPair) record {
	one := record{modified: entry.ModifyIndex, session: entry.Session, owner: entry.Flags}
	if !isKept(entry) {
		r.config.Log.Warn("skipping a record that no session holds", "key", entry.Key)
		return one
	}
	one.instance, one.ok = layout.DecodeOne(r.layout, r.config.Log, layout.Record{Key: "/" + entry.Key, Value: entry.Value})
	return one
}

// held gives the entries that sessions hold.
func (r *registry) held(entries api.KVPairs) []layout.Record {
	var all []layout.Record
	for _, entry := range entries {
		if isKept(entry) {
			all = append(all, layout.Record{Key: "/" + entry.Key, Value: entry.Value})
		}
	}
	return all
}

// notable are the catalogue's entries that say more than a record: most do not.
const notable = `Checks.Status != "passing" or Service.EnableTagOverride == true`

func (s *service) queryFaces(_ context.Context, client *client, q *api.QueryOptions) (func() bool, uint64, error) {
	q.Filter = notable
	entries, meta, err := client.Health().Service(catalogueName(s.name), "", false, q)
	if err != nil {
		return nil, 0, err
	}
	return func() bool { return s.takeFaces(entries) }, meta.LastIndex, nil
}

func (s *service) takeFaces(entries []*api.ServiceEntry) (changed bool) {
	now := map[string][]aspect{}
	for _, entry := range entries {
		if entry.Service == nil {
			continue
		}
		one := aspect{owner: ownerOf(entry.Service.Meta), override: entry.Service.EnableTagOverride}
		if one.override {
			one.tags = slices.Clone(entry.Service.Tags)
		}
		for _, check := range entry.Checks {
			one.failing = one.failing || check.Status != api.HealthPassing && !strings.HasSuffix(check.CheckID, ":"+stateCheck)
		}
		now[entry.Service.ID] = append(now[entry.Service.ID], one)
	}
	changed = !reflect.DeepEqual(now, s.faces)
	s.faces = now
	return changed
}

// join is an instance with what the catalogue says about it.
func (s *service) join(one record) discovery.Instance {
	in := one.instance
	keys := s.registry.keys
	for _, id := range []string{shortID(keys, in.ID), wholeID(keys, in.Service, in.ID)} {
		for _, seen := range s.faces[id] {
			if seen.owner != 0 && one.owner != 0 && seen.owner != one.owner {
				continue // a former one's, at this agent or another
			}
			if seen.failing && in.State == discovery.Passing {
				in.State = discovery.Failing
			}
			if seen.override {
				in.Tags = seen.tags
			}
		}
	}
	return in
}

// snapshot gives the instances. Those with the same query share it.
func (s *service) snapshot(q discovery.Query) discovery.Snapshot {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.all == nil || s.at != s.version {
		s.all, s.at, s.views = s.instances(), s.version, map[string]discovery.Snapshot{}
	}
	key := fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All)
	if _, made := s.views[key]; !made {
		s.views[key] = discovery.NewSnapshot(s.name, strconv.FormatUint(s.index, 10), q, s.all)
	}
	return s.views[key]
}

func (s *service) instances() []discovery.Instance {
	all := slices.Clone(s.pilots)
	for one := range maps.Values(s.records) {
		if one.ok {
			all = append(all, s.join(one))
		}
	}
	if all == nil {
		all = []discovery.Instance{}
	}
	return all
}
