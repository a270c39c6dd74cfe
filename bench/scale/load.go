//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
)

const (
	patience = 2 * time.Minute // until all are right again
	opening  = 8               // processes that begin at a time
	writers  = 64              // registrations of one of them, and changes of all, that are under way at a time
)

// load registers all instances, and changes some of them all the time.
type load struct {
	setting
	instances []instance
	processes int
	changes   atomic.Int64
	failed    atomic.Int64
}

// instance is one that is registered, by either way.
type instance interface {
	change(ctx context.Context, stamp int64) error
}

// describe is instance n of all. The first one of each service is its probe: what it is changed to says when, and its
// ID is the lowest, so that a watcher finds it without a search.
func (s setting) describe(n int, stamp int64) discovery.Instance {
	return discovery.Instance{
		Service:  fmt.Sprintf("s%04d", n%s.Services),
		ID:       fmt.Sprintf("i%05d", n/s.Services),
		Host:     fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255),
		Ports:    map[string]discovery.Port{"http": {Number: 8080, Protocol: "tcp"}},
		Tags:     []string{"blue"},
		Metadata: map[string]string{"version": "1.2.3", "stamp": strconv.FormatInt(stamp, 10)},
		State:    discovery.Passing,
	}
}

// sizeOf is how many instances a service has.
func (s setting) sizeOf(service int) int {
	return (s.Instances - service + s.Services - 1) / s.Services
}

func newLoad(ctx context.Context, s setting) (child, error) {
	l := &load{setting: s, instances: make([]instance, s.Instances)}
	l.processes = (s.Instances + s.PerProcess - 1) / s.PerProcess
	err := parallel(opening, l.processes, func(n int) error {
		return l.open(ctx, n*s.PerProcess, min((n+1)*s.PerProcess, s.Instances))
	})
	if err != nil {
		return nil, err
	}
	go l.changeSome(ctx)
	return l, nil
}

// open registers some instances as one process would.
func (l *load) open(ctx context.Context, from, to int) error {
	register, err := l.registrar(ctx)
	if err != nil {
		return err
	}
	return parallel(writers, to-from, func(n int) (err error) {
		l.instances[from+n], err = register(l.describe(from+n, 0))
		return err
	})
}

// registrar gives a function that registers.
func (l *load) registrar(ctx context.Context) (func(discovery.Instance) (instance, error), error) {
	if l.Plain {
		client, err := plainClient()
		return func(in discovery.Instance) (instance, error) { return newPlain(ctx, client, in, l.TTL) }, err
	}
	registry, err := open(ctx)
	return func(in discovery.Instance) (instance, error) {
		registration, err := registry.Register(ctx, in, l.TTL)
		if err == nil {
			err = registration.WaitReady(ctx)
		}
		return &registered{registration, in}, err
	}, err
}

func open(ctx context.Context) (discovery.Registry, error) {
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return engines.Open(ctx, "etcd://"+strings.Join(endpoints(), ",")+"/bench?timeout=10s", discovery.WithLog(quiet))
}

func plainClient() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints(), DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

// registered is an instance by package discovery.
type registered struct {
	discovery.Registration
	in discovery.Instance
}

func (r *registered) change(ctx context.Context, stamp int64) error {
	in := r.in.Clone()
	in.Metadata["stamp"] = strconv.FormatInt(stamp, 10)
	return r.Update(ctx, in)
}

// plain is an instance as etcd's own client has it: a lease that is kept alive, and a key.
type plain struct {
	client *clientv3.Client
	lease  clientv3.LeaseID
	in     discovery.Instance
}

func plainPrefix(service string) string { return "/plain/" + service + "/" }

func newPlain(ctx context.Context, client *clientv3.Client, in discovery.Instance, ttl time.Duration) (*plain, error) {
	lease, err := client.Grant(ctx, int64(ttl.Seconds()))
	if err != nil {
		return nil, err
	}
	p := &plain{client, lease.ID, in}
	if err := p.change(ctx, 0); err != nil {
		return nil, err
	}
	alive, err := client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return nil, err
	}
	go func() {
		for range alive {
		}
	}()
	return p, nil
}

func (p *plain) change(ctx context.Context, stamp int64) error {
	in := p.in.Clone()
	in.Metadata["stamp"] = strconv.FormatInt(stamp, 10)
	value, err := json.Marshal(in)
	if err != nil {
		return err
	}
	_, err = p.client.Put(ctx, plainPrefix(in.Service)+in.ID, string(value), clientv3.WithLease(p.lease))
	return err
}

// changeSome changes instances at the rate that is set, each second one a probe.
func (l *load) changeSome(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / (l.Change * float64(l.Instances))))
	defer ticker.Stop()
	slots := make(chan struct{}, writers)
	for n := 0; ctx.Err() == nil; n++ {
		<-ticker.C
		which := rand.IntN(l.Instances)
		if n%2 == 0 {
			which = rand.IntN(l.Services)
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			l.changeOne(ctx, which, time.Now().UnixNano())
		}()
	}
}

// changeOne changes an instance, as often as it takes.
func (l *load) changeOne(ctx context.Context, which int, stamp int64) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := l.instances[which].change(limited, stamp)
		cancel()
		if err == nil {
			l.changes.Add(1)
			return
		}
		l.failed.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

func (l *load) begin() { l.changes.Store(0) }

func (l *load) end(f *figures) {
	f.Processes = l.processes
	f.Changes = float64(l.changes.Load()) / l.Window.Seconds()
}

// disturb changes all probes, whatever it takes.
func (l *load) disturb(ctx context.Context, since int64) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	failed := l.failed.Load()
	err := parallel(writers, l.Services, func(n int) error {
		l.changeOne(ctx, n, since)
		return ctx.Err()
	})
	return figures{Right: time.Since(time.Unix(0, since)).Seconds(), Failed: int(l.failed.Load() - failed)}, err
}

// parallel does n things by some workers, and gives the first error.
func parallel(workers, n int, do func(int) error) error {
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}
