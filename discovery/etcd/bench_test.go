package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/internal/testservers"
)

// fill writes so many instances of web under the prefix bench.
func fill(b *testing.B, client *clientv3.Client, count int) {
	b.Helper()
	native := layout.Native("bench")
	for i := range count {
		in := instance()
		in.ID, in.State = fmt.Sprintf("i%05d", i), discovery.Passing
		records, err := native.Encode(in)
		require.NoError(b, err)
		_, err = client.Put(b.Context(), records[0].Key, string(records[0].Value))
		require.NoError(b, err)
	}
}

func openBench(b *testing.B, server *testservers.Etcd) discovery.Registry {
	b.Helper()
	registry, err := open(config(b, "etcd://"+server.Address+"/bench?timeout=1m"))
	require.NoError(b, err)
	b.Cleanup(func() { registry.Close() })
	return registry
}

// A snapshot of 10,000 instances beside the raw range of the same keys.
func BenchmarkSnapshot(b *testing.B) {
	server := testservers.EmbeddedEtcd(b)
	raw := rawClient(b, server)
	defer raw.Close()
	fill(b, raw, 10000)
	registry := openBench(b, server)
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			response, err := raw.Get(b.Context(), "/bench/services/web/", clientv3.WithPrefix())
			require.NoError(b, err)
			require.Len(b, response.Kvs, 10000)
		}
	})
	b.Run("registry", func(b *testing.B) {
		for b.Loop() {
			snapshot, err := registry.Instances(b.Context(), "web", discovery.Query{})
			require.NoError(b, err)
			require.Len(b, snapshot.Instances, 10000)
		}
	})
}

// From a change to its watcher: an instance's Update beside a raw put under a raw watch.
func BenchmarkWatchLatency(b *testing.B) {
	server := testservers.EmbeddedEtcd(b)
	raw := rawClient(b, server)
	defer raw.Close()
	b.Run("raw", func(b *testing.B) {
		changes := raw.Watch(b.Context(), "/raw/")
		_, err := raw.Put(b.Context(), "/raw", "")
		require.NoError(b, err)
		measure(b, func(n int) {
			_, err := raw.Put(b.Context(), "/raw/", fmt.Sprint(n))
			require.NoError(b, err)
			<-changes
		})
	})
	b.Run("registry", func(b *testing.B) {
		registry := openBench(b, server)
		registration, err := registry.Register(b.Context(), instance(), time.Minute)
		require.NoError(b, err)
		require.NoError(b, registration.WaitReady(b.Context()))
		snapshots, err := registry.Watch(b.Context(), "web", discovery.Query{})
		require.NoError(b, err)
		<-snapshots
		measure(b, func(n int) {
			in := instance()
			in.Tags = []string{fmt.Sprint(n)}
			require.NoError(b, registration.Update(b.Context(), in))
			<-snapshots
		})
	})
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("among-%d", count), func(b *testing.B) { benchmarkChange(b, server, raw, count) })
	}
	b.Run("register", func(b *testing.B) {
		registry := openBench(b, server)
		snapshots, err := registry.Watch(b.Context(), "new", discovery.Query{})
		require.NoError(b, err)
		<-snapshots
		measure(b, func(n int) {
			in := instance()
			in.Service, in.ID = "new", fmt.Sprint(n)
			_, err := registry.Register(b.Context(), in, time.Minute)
			require.NoError(b, err)
			<-snapshots
		})
	})
}

// benchmarkChange measures from the put of one record to the snapshot that has it, in a service of so many, whose
// changes come one after the other.
func benchmarkChange(b *testing.B, server *testservers.Etcd, raw *clientv3.Client, count int) {
	fill(b, raw, count)
	defer func() {
		_, err := raw.Delete(context.Background(), "/bench/services/web/", clientv3.WithPrefix())
		require.NoError(b, err)
	}()
	registry := openBench(b, server)
	snapshots, err := registry.Watch(b.Context(), "web", discovery.Query{})
	require.NoError(b, err)
	<-snapshots
	native := layout.Native("bench")
	measure(b, func(n int) {
		in := instance()
		in.ID, in.Host, in.State = "i00005", fmt.Sprintf("h%d", n), discovery.Passing
		records, err := native.Encode(in)
		require.NoError(b, err)
		_, err = raw.Put(b.Context(), records[0].Key, string(records[0].Value))
		require.NoError(b, err)
		for s := range snapshots {
			if s.Instances[5].Host == in.Host {
				break
			}
		}
	}, 25*time.Millisecond)
}

// measure reports the median and the 99th percentile of what do takes.
func measure(b *testing.B, do func(n int), apart ...time.Duration) {
	var times []time.Duration
	for n := 0; b.Loop(); n++ {
		for _, pause := range apart {
			time.Sleep(pause)
		}
		start := time.Now()
		do(n)
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// One change to 1,000 watches of one registry, beside 1,000 raw watches.
func BenchmarkWatchers(b *testing.B) {
	const count = 1000
	server := testservers.EmbeddedEtcd(b)
	raw := rawClient(b, server)
	defer raw.Close()
	b.Run("raw", func(b *testing.B) {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		var watches []clientv3.WatchChan
		for range count {
			watches = append(watches, raw.Watch(ctx, "/raw/", clientv3.WithCreatedNotify()))
		}
		for _, watch := range watches {
			<-watch
		}
		for b.Loop() {
			_, err := raw.Put(ctx, "/raw/", "x")
			require.NoError(b, err)
			for _, watch := range watches {
				<-watch
			}
		}
	})
	b.Run("registry", func(b *testing.B) {
		registry := openBench(b, server)
		registration, err := registry.Register(b.Context(), instance(), time.Minute)
		require.NoError(b, err)
		require.NoError(b, registration.WaitReady(b.Context()))
		watches := make([]<-chan discovery.Snapshot, count)
		var group sync.WaitGroup
		for i := range watches {
			group.Go(func() {
				var err error
				watches[i], err = registry.Watch(b.Context(), "web", discovery.Query{})
				if err != nil {
					b.Error(err)
					return
				}
				<-watches[i]
			})
		}
		group.Wait()
		for n := 0; b.Loop(); n++ {
			in := instance()
			in.Tags = []string{fmt.Sprint(n)}
			require.NoError(b, registration.Update(b.Context(), in))
			for _, watch := range watches {
				<-watch
			}
		}
	})
}

// What it costs others that a lease ends with all of its records: how long that takes, and the slowest put beside it.
func BenchmarkLeaseEnds(b *testing.B) {
	server := testservers.EmbeddedEtcd(b)
	raw := rawClient(b, server)
	defer raw.Close()
	for _, count := range []int{1, 100, 1000, 10000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				b.StopTimer()
				lease, err := raw.Grant(b.Context(), 600)
				require.NoError(b, err)
				for i := range count {
					_, err := raw.Put(b.Context(), fmt.Sprint("/bench/", i), strings.Repeat("x", 300), clientv3.WithLease(lease.ID))
					require.NoError(b, err)
				}
				var beside sync.WaitGroup
				ended := make(chan struct{})
				beside.Go(func() {
					for {
						begun := time.Now()
						_, err := raw.Put(b.Context(), "/beside", "")
						assert.NoError(b, err)
						slowest = max(slowest, time.Since(begun))
						select {
						case <-ended:
							return
						default:
						}
					}
				})
				b.StartTimer()
				_, err = raw.Revoke(b.Context(), lease.ID)
				b.StopTimer()
				require.NoError(b, err)
				close(ended)
				beside.Wait()
				b.StartTimer()
			}
			b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-put-ms")
		})
	}
}
