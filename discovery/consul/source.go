package consul

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// The times of a blocking query.
const (
	pollWait = time.Minute           // how long the server lets it wait, and up to a sixteenth more at its choice
	pace     = 50 * time.Millisecond // the least time between two, so that a burst of changes is one or few
)

// query asks for a part of Consul's state, at once or as a blocking query, as q says. take takes the answer over
// and gives the items that are others than before.
type query func(ctx context.Context, client *agent.Client, q *api.QueryOptions) (take func() []driver.Item, index uint64, err error)

// answer is what came of a query.
type answer struct {
	take func() []driver.Item
	err  error
	took time.Duration
}

// source is one key, or all instances of a service, kept by one blocking query or two.
type source struct {
	backend *backend
	key     string // of one key
	name    string // of a service
	prefix  string // of the keys of its records
	queries []query

	end     context.CancelFunc // of the queries that wait; nil: there are none
	running sync.WaitGroup
	answers chan answer

	index   uint64
	some    atomic.Bool             // there are records
	records map[string]*api.KVPair  // by key
	views   map[string][]healthView // by ID of the catalogue's service
	given   map[string]driver.Item  // what was given last
	number  int64                   // counts items
}

// note is what an item of a service has beside its record.
type note struct {
	entry *api.KVPair
	views []healthView
}

// healthView is what the catalogue says about an instance, beside its record.
type healthView struct {
	owner    uint64
	failing  bool
	tags     []string // if others may change them: override
	override bool
}

func (b *backend) Follow(key string) driver.Source {
	s := &source{backend: b, key: plain(key), given: map[string]driver.Item{}}
	services := b.layout.ServicesPrefix()
	switch name, is := strings.CutPrefix(key, services); {
	case key == b.layout.ValuesPrefix():
		s.prefix = plain(key)
		s.queries = []query{s.queryTree}
	case !is || !strings.HasSuffix(key, "/"):
		s.queries = []query{s.queryKey}
	case b.isContainerpilot():
		s.name = strings.TrimSuffix(name, "/")
		s.queries = []query{s.queryPassing}
	default:
		s.name, _ = layout.Unescape(strings.TrimSuffix(name, "/")) // the layout wrote it
		s.prefix = plain(key)
		s.queries = []query{s.queryRecords, s.queryHealth}
	}
	return s
}

func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	return b.Follow(prefix).(*source).read(ctx, nil)
}

// read asks once. Whose record is there has a check that does not fail: asked in this order, nobody is taken for
// failing by what the catalogue had before.
func (s *source) read(ctx context.Context, indexes []uint64) (driver.Changes, error) {
	err := agent.Do(ctx, s.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		for i, ask := range s.queries {
			take, index, err := ask(ctx, client, s.backend.Reading(ctx))
			if err != nil {
				return err
			}
			take()
			if indexes != nil {
				indexes[i] = nextIndex(0, index)
			}
		}
		return nil
	})
	c := s.changes(slices.Collect(maps.Values(s.given)))
	c.Whole = true
	if s.name == "" && s.prefix == "" && len(c.Items) == 0 {
		c.Items = []driver.Item{{Key: "/" + s.key, Gone: true}}
	}
	return c, err
}

func (s *source) changes(items []driver.Item) driver.Changes {
	return driver.Changes{Items: items, Revision: strconv.FormatUint(s.index, 10)}
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	s.Close()
	indexes := make([]uint64, len(s.queries))
	c, err := s.read(ctx, indexes)
	if err != nil {
		return c, err
	}
	life, end := context.WithCancel(context.Background())
	s.end, s.answers = end, make(chan answer)
	for i, ask := range s.queries {
		s.running.Go(func() { s.poll(life, ask, indexes[i]) })
	}
	return c, nil
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	for {
		select {
		case a := <-s.answers:
			if a.err != nil {
				return driver.Changes{}, s.backend.judge(a.err, a.took)
			}
			if items := a.take(); len(items) > 0 {
				return s.changes(items), nil
			}
		case <-ctx.Done():
			return driver.Changes{}, ctx.Err()
		}
	}
}

// Close ends the queries that wait.
func (s *source) Close() {
	if s.end != nil {
		s.end()
		s.running.Wait()
		s.end = nil
	}
}

// judge gives an error its kind. A query that some proxy ended after a while is a gap, and no outage until a
// read fails, too.
func (b *backend) judge(err error, took time.Duration) error {
	err = b.Explain(err, took)
	if took > time.Second && errors.Is(err, discovery.ErrUnavailable) {
		return driver.ErrGap
	}
	return err
}

// poll repeats a query until that fails.
func (s *source) poll(ctx context.Context, ask query, index uint64) {
	for {
		begun := time.Now()
		a, answered := s.wait(ctx, ask, index)
		select {
		case s.answers <- a:
		case <-ctx.Done():
			return
		}
		if a.err != nil {
			return
		}
		index = nextIndex(index, answered)
		select {
		case <-time.After(pace - time.Since(begun)):
		case <-ctx.Done():
			return
		}
	}
}

// wait asks once. An answer that came early without a change is of before a snapshot was restored.
func (s *source) wait(ctx context.Context, ask query, index uint64) (a answer, answered uint64) {
	limit, client := s.backend.config.Timeout, s.backend.Calls
	if index > 0 {
		limit, client = limit+pollWait+pollWait/16, s.backend.Polls
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q := s.backend.Reading(limited)
	q.WaitIndex, q.WaitTime = index, pollWait
	start := time.Now()
	a.take, answered, a.err = ask(limited, client, q)
	a.took = time.Since(start)
	if index > 0 && answered == index && a.took < pollWait {
		answered = 0
	}
	return a, answered
}

// nextIndex is what to wait for after an answer, by Consul's rules: an index that went backwards, as after a
// restored snapshot, begins anew, and 0 would not wait at all.
func nextIndex(last, answered uint64) uint64 {
	if answered < last {
		return 0
	}
	return max(answered, 1)
}

// difference makes now what was given last, and gives what is another in it.
func (s *source) difference(now map[string]driver.Item) []driver.Item {
	var items []driver.Item
	for key, item := range now {
		if was, had := s.given[key]; had && reflect.DeepEqual(was.Note, item.Note) {
			now[key] = was
			continue
		}
		s.number++
		item.Version = driver.Version{s.number}
		now[key] = item
		items = append(items, item)
	}
	for key := range s.given {
		if _, there := now[key]; !there {
			items = append(items, driver.Item{Key: key, Gone: true})
		}
	}
	s.given = now
	return items
}

func (s *source) queryKey(ctx context.Context, client *agent.Client, q *api.QueryOptions) (func() []driver.Item, uint64, error) {
	entries, meta, err := client.KV().List(listed(s.key), q)
	if err != nil {
		return nil, 0, err
	}
	now := map[string]driver.Item{}
	for _, entry := range entries {
		if entry.Key == s.key {
			now["/"+s.key] = itemOf(entry)
		}
	}
	if len(now) == 0 && (q.WaitIndex == 0 || s.some.Load()) {
		if _, err := read(client, s.key, s.backend.Reading(ctx)); err != nil {
			return nil, 0, err // it may not be read
		}
	}
	return func() []driver.Item {
		s.some.Store(len(now) > 0)
		return s.difference(now)
	}, meta.LastIndex, nil
}

// queryTree asks for all values.
func (s *source) queryTree(ctx context.Context, client *agent.Client, q *api.QueryOptions) (func() []driver.Item, uint64, error) {
	entries, index, err := s.entries(ctx, client, q)
	return func() []driver.Item {
		s.index = index
		s.some.Store(len(entries) > 0)
		now := make(map[string]driver.Item, len(entries))
		for _, entry := range entries {
			item := itemOf(entry)
			now[item.Key] = item
		}
		return s.difference(now)
	}, index, err
}

func (s *source) queryRecords(ctx context.Context, client *agent.Client, q *api.QueryOptions) (func() []driver.Item, uint64, error) {
	entries, index, err := s.entries(ctx, client, q)
	return func() []driver.Item {
		s.index = index
		s.records = map[string]*api.KVPair{}
		for _, entry := range entries {
			s.records[entry.Key] = entry
		}
		s.some.Store(len(s.records) > 0)
		return s.joined()
	}, index, err
}

// entries asks for all that stands below the prefix.
func (s *source) entries(ctx context.Context, client *agent.Client, q *api.QueryOptions) (api.KVPairs, uint64, error) {
	entries, meta, err := client.KV().List(listed(s.prefix), q)
	if err == nil && len(entries) == 0 && (q.WaitIndex == 0 || s.some.Load()) {
		err = s.backend.mayRead(ctx, client, s.prefix)
	}
	if err != nil {
		return nil, 0, err
	}
	others := func(entry *api.KVPair) bool { return !strings.HasPrefix(entry.Key, s.prefix) } // see listed
	return slices.DeleteFunc(entries, others), meta.LastIndex, nil
}

// notable are the catalogue's entries that say more than a record: most do not.
const notable = `Checks.Status != "passing" or Service.EnableTagOverride == true`

func (s *source) queryHealth(_ context.Context, client *agent.Client, q *api.QueryOptions) (func() []driver.Item, uint64, error) {
	q.Filter = notable
	entries, meta, err := client.Health().Service(catalogueName(s.name), "", false, q)
	if err != nil {
		return nil, 0, err
	}
	return func() []driver.Item {
		s.views = healthViewsOf(entries)
		return s.joined()
	}, meta.LastIndex, nil
}

func healthViewsOf(entries []*api.ServiceEntry) map[string][]healthView {
	all := map[string][]healthView{}
	for _, entry := range entries {
		if entry.Service == nil {
			continue
		}
		one := healthView{owner: ownerOf(entry.Service.Meta), override: entry.Service.EnableTagOverride}
		if one.override {
			one.tags = slices.Clone(entry.Service.Tags)
		}
		for _, check := range entry.Checks {
			one.failing = one.failing || check.Status != api.HealthPassing && !strings.HasSuffix(check.CheckID, ":"+stateCheck)
		}
		all[entry.Service.ID] = append(all[entry.Service.ID], one)
	}
	return all
}

// joined gives what is new of the records with their views.
func (s *source) joined() []driver.Item {
	now := make(map[string]driver.Item, len(s.records))
	for _, entry := range s.records {
		item := itemOf(entry)
		item.Note = note{entry, s.healthViewsOf(item.Key)}
		now[item.Key] = item
	}
	return s.difference(now)
}

// healthViewsOf gives what the catalogue says of the instance at a key.
func (s *source) healthViewsOf(key string) []healthView {
	if len(s.views) == 0 {
		return nil
	}
	in, err := s.backend.layout.Decode(key, []byte("{}"))
	if err != nil {
		return nil
	}
	var all []healthView
	for _, id := range []string{shortID(s.backend.keys, in.ID), wholeID(s.backend.keys, in.Service, in.ID)} {
		all = append(all, s.views[id]...)
	}
	return all
}

// Decode reads a record with what the catalogue says about it. A malformed one, and one that stays whoever dies, is
// skipped with a warning.
func (b *backend) Decode(item driver.Item) (discovery.Instance, bool) {
	if in, is := item.Note.(discovery.Instance); is {
		return in, true
	}
	with := item.Note.(note)
	if !isKept(with.entry) {
		b.config.Log.Warn("skipping a record that no session holds", "key", item.Key)
		return discovery.Instance{}, false
	}
	in, ok := layout.DecodeOne(b.layout, b.config.Log, layout.Record{Key: item.Key, Value: item.Value})
	for _, seen := range with.views {
		if seen.owner != 0 && with.entry.Flags != 0 && seen.owner != with.entry.Flags {
			continue // a former one's, at this agent or another
		}
		if seen.failing && in.State == discovery.Passing {
			in.State = discovery.Failing
		}
		if seen.override {
			in.Tags = seen.tags
		}
	}
	return in, ok
}

// held gives the entries that sessions hold.
func held(entries api.KVPairs) []layout.Record {
	var all []layout.Record
	for _, entry := range entries {
		if isKept(entry) {
			all = append(all, layout.Record{Key: "/" + entry.Key, Value: entry.Value})
		}
	}
	return all
}
