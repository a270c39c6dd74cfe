package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
)

// How much is measured.
const (
	snapshotInstances = 10_000
	snapshotRounds    = 20
	latencyRounds     = 1000
	latencyBlock      = 100 // of which each has its p50 and its p99
	watchers          = 1_000
	watcherRounds     = 20
	withdrawals       = 20
)

// bench holds both ways to the same etcd.
type bench struct {
	address  string
	raw      *clientv3.Client
	registry discovery.Registry
}

func measure(ctx context.Context, address, envdiscover string) error {
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer raw.Close()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	registry, err := engines.Open(ctx, "etcd://"+address+"/bench?timeout=60s", discovery.WithLog(quiet))
	if err != nil {
		return err
	}
	defer registry.Close()
	b := &bench{address, raw, registry}
	for _, part := range []func(context.Context) error{b.latency, b.manyWatchers, b.snapshot} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return b.withdrawal(ctx, envdiscover)
}

// row is a line of the table that bench/lib.sh begins.
func row(what, beside, measured string) {
	fmt.Printf("| %s | %s | %s | | |\n", what, beside, measured)
}

func progress(format string, args ...any) { log.Printf(format, args...) }

// snapshot compares reading all instances of a service with reading their keys.
func (b *bench) snapshot(ctx context.Context) error {
	progress("a snapshot of %d instances", snapshotInstances)
	const prefix = "/bench/services/many/"
	if err := b.fill(ctx, prefix); err != nil {
		return err
	}
	ours, raw, err := turns(snapshotRounds, func(*stopwatch) error {
		snapshot, err := b.registry.Instances(ctx, "many", discovery.Query{})
		if err == nil && len(snapshot.Instances) != snapshotInstances {
			err = fmt.Errorf("%d instances", len(snapshot.Instances))
		}
		return err
	}, func(*stopwatch) error {
		_, err := b.raw.Get(ctx, prefix, clientv3.WithPrefix())
		return err
	})
	if err != nil {
		return err
	}
	row("a snapshot of 10,000 instances", "etcd's client, a range without decoding", ratios(ours, raw, 1, 50))
	_, err = b.raw.Delete(ctx, prefix, clientv3.WithPrefix())
	return err
}

// fill writes the instances as their registrations would, a hundred at a time.
func (b *bench) fill(ctx context.Context, prefix string) error {
	for first := 0; first < snapshotInstances; first += 100 {
		var puts []clientv3.Op
		for i := first; i < first+100; i++ {
			id := fmt.Sprintf("many-host%05d-80", i)
			record := fmt.Sprintf(`{"id":%q,"service":"many","host":"10.0.%d.%d","ports":{"http":{"number":80,"protocol":"tcp"}},"tags":["a"],"state":"passing"}`, id, i>>8, i&255)
			puts = append(puts, clientv3.OpPut(prefix+id, record))
		}
		if _, err := b.raw.Txn(ctx).Then(puts...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

// latency compares the time from Register to the snapshot that has it with that from a grant and a put to the event.
func (b *bench) latency(ctx context.Context) error {
	progress("register to watcher, %d times", latencyRounds)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshots, err := b.registry.Watch(ctx, "one", discovery.Query{})
	if err != nil {
		return err
	}
	<-snapshots
	events := b.raw.Watch(ctx, "/raw/one")
	ours, raw, err := turns(latencyRounds,
		func(w *stopwatch) error { return b.registered(ctx, w, "one", func() { <-snapshots }) },
		func(w *stopwatch) error { return b.put(ctx, w, "/raw/one", func() { <-events }) },
	)
	if err != nil {
		return err
	}
	row("register to watcher, p50", "etcd's client, grant and put to watch event", ratios(ours, raw, latencyBlock, 50))
	row("register to watcher, p99", "", ratios(ours, raw, latencyBlock, 99))
	return nil
}

// registered announces an instance and waits until seen; what is behind that is not measured.
func (b *bench) registered(ctx context.Context, w *stopwatch, service string, seen func()) error {
	registration, err := b.registry.Register(ctx, discovery.Instance{Service: service, ID: "i", Host: "10.0.0.1"}, time.Minute)
	if err != nil {
		return err
	}
	seen()
	w.stop()
	if err := registration.Close(); err != nil {
		return err
	}
	seen()
	return nil
}

// put is what registered does, by etcd's client.
func (b *bench) put(ctx context.Context, w *stopwatch, key string, seen func()) error {
	lease, err := b.raw.Grant(ctx, 60)
	if err != nil {
		return err
	}
	if _, err := b.raw.Put(ctx, key, `{"id":"i","host":"10.0.0.1"}`, clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	seen()
	w.stop()
	if _, err := b.raw.Revoke(ctx, lease.ID); err != nil {
		return err
	}
	seen()
	return nil
}

// manyWatchers compares the time until the last of many watchers has seen a registration.
func (b *bench) manyWatchers(ctx context.Context) error {
	progress("%d watchers", watchers)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ours, raw := make(audience, watchers), make(audience, watchers)
	for range watchers {
		snapshots, err := b.registry.Watch(ctx, "crowd", discovery.Query{})
		if err != nil {
			return err
		}
		<-snapshots
		listen(ours, snapshots)
		listen(raw, b.raw.Watch(ctx, "/raw/crowd"))
	}
	oursTook, rawTook, err := turns(watcherRounds,
		func(w *stopwatch) error { return b.registered(ctx, w, "crowd", ours.all) },
		func(w *stopwatch) error { return b.put(ctx, w, "/raw/crowd", raw.all) },
	)
	if err != nil {
		return err
	}
	row("register to the last of 1,000 watchers", "etcd's client, 1,000 watches", ratios(oursTook, rawTook, 1, 50))
	return nil
}

// audience is told by each watcher of each change.
type audience chan struct{}

// all waits until every watcher has seen one change more.
func (a audience) all() {
	for range watchers {
		<-a
	}
}

func listen[T any](a audience, changes <-chan T) {
	go func() {
		for range changes {
			a <- struct{}{}
		}
	}()
}

// ratios gives the median of the ratios of some percentile of blocks of turns, and its quartiles.
func ratios(ours, raw []time.Duration, block, p int) string {
	var all []float64
	for from := 0; from+block <= len(ours); from += block {
		all = append(all, float64(percentile(ours[from:from+block], p))/float64(percentile(raw[from:from+block], p)))
	}
	slices.Sort(all)
	return fmt.Sprintf("%.2f × (%.2f–%.2f)", all[len(all)/2], all[len(all)/4], all[len(all)*3/4])
}

func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
