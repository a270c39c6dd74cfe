package etcd

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// subscription reads a key, or all keys with that prefix, and follows them from the next revision.
type subscription struct {
	registry *registry
	op, name string
	key      string
	options  []clientv3.OpOption

	changes clientv3.WatchChan
	cancel  context.CancelFunc
	broken  <-chan struct{} // closed when the registry cannot be asked
}

// read begins anew.
func (s *subscription) read(ctx context.Context) (*clientv3.GetResponse, error) {
	s.Close()
	r := s.registry
	broken := r.pulse.broken()
	return call(ctx, r, s.op, s.name, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		response, err := client.Get(ctx, s.key, r.reading(s.options...)...)
		if err != nil {
			return nil, err
		}
		from := append(slices.Clone(s.options), clientv3.WithRev(response.Header.Revision+1))
		life, cancel := context.WithCancel(clientv3.WithRequireLeader(context.Background()))
		stop := context.AfterFunc(ctx, cancel) // Watch blocks while there is no connection
		s.changes, s.cancel, s.broken = client.Watch(life, s.key, from...), cancel, broken
		if !stop() {
			s.Close()
			return nil, ctx.Err()
		}
		return response, nil
	})
}

// next waits for changes.
func (s *subscription) next(ctx context.Context) (clientv3.WatchResponse, error) {
	select {
	case response, ok := <-s.changes:
		return response, s.judge(response, ok)
	case <-s.broken:
		return clientv3.WatchResponse{}, s.registry.fail(s.op, s.name, s.registry.pulse.failure())
	case <-ctx.Done():
		return clientv3.WatchResponse{}, ctx.Err()
	}
}

// more gives changes that have come meanwhile, without waiting.
func (s *subscription) more() (response clientv3.WatchResponse, some bool, err error) {
	select {
	case response, ok := <-s.changes:
		return response, true, s.judge(response, ok)
	default:
		return response, false, nil
	}
}

// judge is the error that a response stands for.
func (s *subscription) judge(response clientv3.WatchResponse, ok bool) error {
	if !ok {
		return s.registry.fail(s.op, s.name, discovery.Mark(discovery.ErrUnavailable, errors.New("the watch was ended")))
	}
	switch err := response.Err(); {
	case errors.Is(err, rpctypes.ErrCompacted):
		return driver.ErrGap
	case err != nil:
		return s.registry.fail(s.op, s.name, s.registry.explain(err, 0))
	}
	return nil
}

// Close ends the watch.
func (s *subscription) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	for range s.changes { // it is closed soon; who goes on earlier leaves work behind
	}
	s.cancel = nil
}

// keySource follows one key; decode gets nil when it is not there.
type keySource[T any] struct {
	subscription
	decode func(*mvccpb.KeyValue) T
}

func (s *keySource[T]) Read(ctx context.Context) (T, error) {
	response, err := s.read(ctx)
	if err != nil {
		var none T
		return none, err
	}
	if len(response.Kvs) == 0 {
		return s.decode(nil), nil
	}
	return s.decode(response.Kvs[0]), nil
}

func (s *keySource[T]) Next(ctx context.Context) (T, error) {
	for {
		response, err := s.next(ctx)
		if err != nil {
			var none T
			return none, err
		}
		if len(response.Events) == 0 {
			continue
		}
		last := response.Events[len(response.Events)-1]
		if last.Type == clientv3.EventTypeDelete {
			return s.decode(nil), nil
		}
		return s.decode(last.Kv), nil
	}
}

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return nil, r.fail("watch service", service, err)
	}
	return driver.WatchSnapshots(ctx, r.group, &serviceSource{
		subscription: subscription{
			registry: r,
			op:       "watch service",
			name:     service,
			key:      prefix,
			options:  []clientv3.OpOption{clientv3.WithPrefix()},
		},
		query:   q,
		decoded: r.decoded.acquire(service),
	}, service, r.config.Log)
}

// serviceSource follows the records of a service.
type serviceSource struct {
	subscription
	query   discovery.Query
	decoded *decodedService
	byKey   map[string]discovery.Instance
	sorted  []discovery.Instance // the same, by ID
}

func (s *serviceSource) Read(ctx context.Context) (discovery.Snapshot, error) {
	response, err := s.read(ctx)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	s.byKey, s.sorted = make(map[string]discovery.Instance, len(response.Kvs)), nil
	for _, kv := range response.Kvs {
		if in, ok := s.decoded.decode(kv); ok {
			s.byKey[string(kv.Key)] = in
			s.sorted = append(s.sorted, in)
		}
	}
	slices.SortFunc(s.sorted, byID)
	return s.snapshot(response.Header.Revision), nil
}

func (s *serviceSource) Next(ctx context.Context) (discovery.Snapshot, error) {
	for {
		response, err := s.next(ctx)
		visible := false
		for some := true; some && err == nil; {
			visible = s.apply(response) || visible
			var later clientv3.WatchResponse
			if later, some, err = s.more(); some {
				response = later
			}
		}
		if err != nil {
			return discovery.Snapshot{}, err
		}
		if visible {
			return s.snapshot(response.Header.Revision), nil
		}
	}
}

// apply takes over changes and reports whether the query sees one.
func (s *serviceSource) apply(response clientv3.WatchResponse) (visible bool) {
	for _, event := range response.Events {
		visible = s.applyOne(event) || visible
	}
	return visible
}

func (s *serviceSource) snapshot(at int64) discovery.Snapshot {
	return discovery.NewSnapshot(s.name, revision(at), s.query, s.sorted)
}

// applyOne takes over one change.
func (s *serviceSource) applyOne(event *clientv3.Event) bool {
	key := string(event.Kv.Key)
	before, was := s.byKey[key]
	var after discovery.Instance
	is := false
	if event.Type == clientv3.EventTypeDelete {
		s.decoded.forget(event.Kv)
	} else {
		after, is = s.decoded.decode(event.Kv)
	}
	if was {
		at, _ := slices.BinarySearchFunc(s.sorted, before, byID)
		s.sorted = slices.Delete(s.sorted, at, at+1)
		delete(s.byKey, key)
	}
	if is {
		at, _ := slices.BinarySearchFunc(s.sorted, after, byID)
		s.sorted = slices.Insert(s.sorted, at, after)
		s.byKey[key] = after
	}
	return was && s.query.Matches(before) || is && s.query.Matches(after)
}

func (s *serviceSource) Close() {
	s.subscription.Close()
	s.registry.decoded.release(s.decoded)
}

func byID(a, b discovery.Instance) int { return strings.Compare(a.ID, b.ID) }

// decodedServices lets the watches of a service decode each record once.
type decodedServices struct {
	layout layout.Layout
	log    *slog.Logger
	lock   sync.Mutex
	byName map[string]*decodedService
}

type decodedService struct {
	*decodedServices
	name    string
	watches int

	lock    sync.Mutex
	records map[string]decodedRecord
}

type decodedRecord struct {
	revision int64
	instance discovery.Instance
	ok       bool
}

func newDecodedServices(l layout.Layout, log *slog.Logger) *decodedServices {
	return &decodedServices{layout: l, log: log, byName: map[string]*decodedService{}}
}

func (d *decodedServices) acquire(name string) *decodedService {
	d.lock.Lock()
	defer d.lock.Unlock()
	service := d.byName[name]
	if service == nil {
		service = &decodedService{decodedServices: d, name: name, records: map[string]decodedRecord{}}
		d.byName[name] = service
	}
	service.watches++
	return service
}

func (d *decodedServices) release(service *decodedService) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if service.watches--; service.watches == 0 {
		delete(d.byName, service.name)
	}
}

// decode reads a record; a malformed one is warned of once.
func (d *decodedService) decode(kv *mvccpb.KeyValue) (discovery.Instance, bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	record, known := d.records[string(kv.Key)]
	if !known || record.revision != kv.ModRevision {
		in, ok := layout.DecodeOne(d.layout, d.log, layout.Record{Key: string(kv.Key), Value: kv.Value})
		newer := decodedRecord{kv.ModRevision, in, ok}
		if kv.ModRevision > record.revision {
			d.records[string(kv.Key)] = newer
		}
		record = newer
	}
	return record.instance, record.ok
}

// forget drops a deleted record.
func (d *decodedService) forget(kv *mvccpb.KeyValue) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.records[string(kv.Key)].revision < kv.ModRevision {
		delete(d.records, string(kv.Key))
	}
}

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
