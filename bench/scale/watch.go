//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
)

// watch follows services with all watchers.
type watch struct {
	setting
	processes int
	watchers  []*watcher

	lock      sync.Mutex
	took      []time.Duration
	callbacks int
}

// watcher is one of them.
type watcher struct {
	*watch
	service int
	all     int // instances that are there

	// Under the lock of watch.
	stamp int64 // the newest of its probe
	lost  int   // the most that were missing
}

func newWatch(ctx context.Context, s setting) (child, error) {
	w := &watch{setting: s}
	for n := range s.Watchers {
		service := n % s.Services
		w.watchers = append(w.watchers, &watcher{watch: w, service: service, all: s.sizeOf(service)})
	}
	w.processes = (s.Watchers + s.PerProcess - 1) / s.PerProcess
	err := parallel(opening, w.processes, func(n int) error {
		return w.open(ctx, w.watchers[n*s.PerProcess:min((n+1)*s.PerProcess, s.Watchers)])
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// open begins some watches as one process would.
func (w *watch) open(ctx context.Context, some []*watcher) error {
	if w.Plain {
		client, err := plainClient()
		if err != nil {
			return err
		}
		return parallel(8, len(some), func(n int) error { return some[n].followPlain(ctx, client) })
	}
	registry, err := open(ctx)
	if err != nil {
		return err
	}
	return parallel(8, len(some), func(n int) error { return some[n].follow(ctx, registry) })
}

func (w *watcher) name() string { return w.describe(w.service, 0).Service }

// follow watches by package discovery.
func (w *watcher) follow(ctx context.Context, registry discovery.Registry) error {
	snapshots, err := registry.Watch(ctx, w.name(), discovery.Query{})
	if err != nil {
		return err
	}
	go func() {
		for s := range snapshots {
			w.called(s.Instances[:min(1, len(s.Instances))], len(s.Instances))
		}
	}()
	return nil
}

// followPlain watches as code on etcd's own client does: a range, then the events from its revision on, into a map.
func (w *watcher) followPlain(ctx context.Context, client *clientv3.Client) error {
	prefix := plainPrefix(w.name())
	response, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	all := map[string]discovery.Instance{}
	for _, kv := range response.Kvs {
		if err := put(all, kv.Key, kv.Value); err != nil {
			return err
		}
	}
	go func() {
		for changes := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(response.Header.Revision+1)) {
			for _, event := range changes.Events {
				if event.Type == clientv3.EventTypeDelete {
					delete(all, string(event.Kv.Key))
				} else {
					_ = put(all, event.Kv.Key, event.Kv.Value)
				}
			}
			probe := all[prefix+"i00000"]
			w.called([]discovery.Instance{probe}, len(all))
		}
	}()
	return nil
}

// plainInstance is read as other programs read such records.
type plainInstance struct {
	ID, Service, Host string
	Ports             map[string]discovery.Port
	Tags              []string
	Metadata          map[string]string
}

func put(all map[string]discovery.Instance, key, value []byte) error {
	var in plainInstance
	if err := json.Unmarshal(value, &in); err != nil {
		return err
	}
	all[string(key)] = discovery.Instance{ID: in.ID, Service: in.Service, Host: in.Host, Ports: in.Ports, Tags: in.Tags, Metadata: in.Metadata}
	return nil
}

// called takes over what a watcher was told; the probe comes first.
func (w *watcher) called(probe []discovery.Instance, count int) {
	now := time.Now()
	w.lock.Lock()
	defer w.lock.Unlock()
	w.callbacks++
	w.lost = max(w.lost, w.all-count)
	if len(probe) == 0 {
		return
	}
	stamp, _ := strconv.ParseInt(probe[0].Metadata["stamp"], 10, 64)
	if stamp > w.stamp {
		w.stamp = stamp
		w.took = append(w.took, now.Sub(time.Unix(0, stamp)))
	}
}

func (w *watch) begin() {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.took, w.callbacks = nil, 0
	for _, one := range w.watchers {
		one.lost = 0
	}
}

func (w *watch) end(f *figures) {
	w.lock.Lock()
	defer w.lock.Unlock()
	f.Processes = w.processes
	f.P50, f.P99 = percentile(w.took, 50), percentile(w.took, 99)
	f.Callbacks = float64(w.callbacks) / w.Window.Seconds()
	f.Lost = w.lostNow()
}

func (w *watch) lostNow() (lost int) {
	for _, one := range w.watchers {
		lost = max(lost, one.lost)
	}
	return lost
}

// disturb waits until all watchers know of a change that was made since.
func (w *watch) disturb(ctx context.Context, since int64) (figures, error) {
	w.begin()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if behind := w.behind(since); behind == 0 {
			break
		} else if time.Now().After(deadline) {
			return figures{}, errors.New(strconv.Itoa(behind) + " watchers are not right again after two minutes")
		}
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	return figures{Right: time.Since(time.Unix(0, since)).Seconds(), Lost: w.lostNow()}, ctx.Err()
}

func (w *watch) behind(since int64) (behind int) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, one := range w.watchers {
		if one.stamp < since {
			behind++
		}
	}
	return behind
}
