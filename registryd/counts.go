package registryd

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// otherState stands for all states that this version does not know: whatever a record says is not a label.
const otherState = "other"

// census is how many there are of what is registered, as etcd has it.
type census struct {
	services, values int64
	states           map[string]int64 // instances by state
}

// counts tells how many there are, with the rights of who asks. Instances are looked at once for each state of
// the registry: renewals change nothing.
type counts struct {
	store   *store
	batches batches[caller, *census]

	lock      sync.Mutex
	of        stateOfRange // of
	services  int64
	instances map[string]int64
}

// stateOfRange tells one state of a range of keys from another: every write makes the newest revision newer, and
// what is deleted is counted no more.
type stateOfRange struct{ newest, count int64 }

func newCounts(s *store) *counts { return &counts{store: s} }

// take counts, as the caller of ctx.
func (c *counts) take(ctx context.Context) (*census, error) {
	who := callerOf(ctx)
	who.peer = ""
	return c.batches.join(ctx, who, c.count)
}

func (c *counts) count(ctx context.Context) (*census, error) {
	values, err := c.store.get(ctx, c.store.keys.ValuesPrefix(), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return nil, err
	}
	state, err := c.store.stateOf(ctx, c.store.keys.ServicesPrefix())
	if err != nil {
		return nil, err
	}
	if known := c.known(state); known != nil {
		known.values = values.Count
		return known, nil
	}
	response, err := c.store.get(ctx, c.store.keys.ServicesPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	services, instances := c.store.countInstances(response.Kvs)
	c.know(stateOfKeys(response), services, instances)
	return &census{services: services, values: values.Count, states: instances}, nil
}

func (c *counts) known(state stateOfRange) *census {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.instances == nil || c.of != state {
		return nil
	}
	return &census{services: c.services, states: c.instances}
}

func (c *counts) know(state stateOfRange, services int64, instances map[string]int64) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.of, c.services, c.instances = state, services, instances
}

// countInstances counts services and, by state, instances.
func (s *store) countInstances(kvs []*mvccpb.KeyValue) (services int64, instances map[string]int64) {
	names := map[string]bool{}
	instances = map[string]int64{
		string(discovery.Starting): 0, string(discovery.Passing): 0, string(discovery.Failing): 0, string(discovery.Draining): 0,
	}
	for _, in := range layout.Decode(s.keys, s.log, records(kvs)) {
		names[in.Service] = true
		state := string(in.State)
		if _, known := instances[state]; !known {
			state = otherState
		}
		instances[state]++
	}
	return int64(len(names)), instances
}

// stateOf reads what tells one state of a range from another.
func (s *store) stateOf(ctx context.Context, prefix string) (stateOfRange, error) {
	response, err := s.get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
	if err != nil {
		return stateOfRange{}, err
	}
	return stateOfRange{only(response.Kvs).ModRevision, response.Count}, nil
}

// stateOfKeys is stateOf when all keys of the range are there.
func stateOfKeys(response *clientv3.GetResponse) stateOfRange {
	state := stateOfRange{count: response.Count}
	for _, kv := range response.Kvs {
		state.newest = max(state.newest, kv.ModRevision)
	}
	return state
}

// The gauges of a census.
var (
	servicesGauge  = prometheus.NewDesc("envdiscoverd_services", "Services that have instances.", nil, nil)
	instancesGauge = prometheus.NewDesc("envdiscoverd_instances", "Registered instances, by state.", []string{"state"}, nil)
	valuesGauge    = prometheus.NewDesc("envdiscoverd_values", "Values.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c *census) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements [prometheus.Collector].
func (c *census) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(servicesGauge, c.services)
	gauge(valuesGauge, c.values)
	for state, n := range c.states {
		gauge(instancesGauge, n, state)
	}
}
