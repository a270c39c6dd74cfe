// Package director turns what a service is into the text that its users need: the address of a pool or of the one
// that leads, written by one process in the cluster.
//
// The common case:
//
//	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
//	defer stop()
//	err := director.Director{
//		Service: "db",
//		Value:   "DATABASE_URL",
//		Direct:  director.Program{Words: []string{"./pool"}, Stderr: os.Stderr}.Direct,
//	}.Run(ctx, registry)
//
// envdiscover direct is this package with options.
package director

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/follow"
)

// Director publishes a value that depends on a service. However many run for one value, one directs; another takes
// over when it ends, within TTL when it dies. The value outlives them all.
type Director struct {
	Service string
	Query   discovery.Query // which of its instances count
	Value   string          // the name of the value
	TTL     time.Duration   // 0 is discovery.DefaultTTL

	// Direct makes the value of a snapshot, an empty one too; an empty value means that there is to be none. It is
	// called by the one that directs, at first and at each change; changes that come while it runs are one. After
	// an error, or with a value that is none, the old one stays and it is called again with back-off. Its context
	// ends when another may direct.
	Direct func(context.Context, discovery.Snapshot) ([]byte, error)

	// Standing is called once, as soon as the registry has answered and this director stands by. Its error ends
	// Run. May be nil.
	Standing func() error

	Log *slog.Logger // nil is slog.Default
}

// Run directs, or stands by, until ctx ends; then it releases the lead, and an error means that another takes over only after
// TTL. Else its error is why it cannot direct: discovery.ErrUnsupported where the registry has no values or
// elections, ErrInvalid, ErrDenied, and at the beginning ErrUnavailable. Later outages are ridden out.
func (d Director) Run(ctx context.Context, registry discovery.Registry) error {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	elector, ok := registry.(discovery.Elector)
	if !ok {
		return &discovery.Error{Op: "direct", Name: d.Service, Err: discovery.ErrUnsupported}
	}
	if err := d.stand(ctx, registry); err != nil {
		return unless(ctx, err)
	}
	for {
		leadership, err := elector.Campaign(ctx, d.Value, d.TTL)
		if err != nil {
			return unless(ctx, err)
		}
		d.Log.Info("directs", "service", d.Service, "value", d.Value)
		err = d.lead(ctx, registry, leadership)
		released := leadership.Close()
		switch {
		case ctx.Err() != nil:
			return released
		case err != nil && !errors.Is(err, discovery.ErrConflict):
			return err
		}
		d.Log.Warn("directs no more, standing by", "service", d.Service, "value", d.Value)
		if new(discovery.Backoff).Wait(ctx) != nil { // not to be elected and lost again without a pause
			return nil
		}
	}
}

// unless gives the error, unless it is that ctx has ended.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// stand finds what would make directing impossible before there is an election to win.
func (d Director) stand(ctx context.Context, registry discovery.Registry) error {
	if err := discovery.ValidValueName(d.Value); err != nil {
		return &discovery.Error{Op: "direct", Name: d.Value, Err: err}
	}
	if _, err := registry.Instances(ctx, d.Service, d.Query); err != nil {
		return err
	}
	if d.Standing == nil {
		return nil
	}
	return d.Standing()
}

// lead publishes until ctx or the leadership ends.
func (d Director) lead(ctx context.Context, registry discovery.Registry, leadership discovery.Leadership) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-leadership.Done():
		case <-ctx.Done():
		}
	}()
	var snapshots <-chan discovery.Snapshot
	err := discovery.Retry(ctx, func(ctx context.Context) (err error) {
		snapshots, err = registry.Watch(ctx, d.Service, d.Query)
		return err
	})
	if err != nil {
		return unless(ctx, err)
	}
	return follow.Each(ctx, snapshots, func(ctx context.Context, s discovery.Snapshot) (bool, error) {
		return d.publish(ctx, leadership, s)
	})
}

// publish makes the value of a snapshot and writes it.
func (d Director) publish(ctx context.Context, leadership discovery.Leadership, s discovery.Snapshot) (done bool, err error) {
	value, err := d.Direct(ctx, s)
	if err == nil {
		err = validValue(d.Value, value)
	}
	if err != nil {
		d.warn(ctx, "cannot make the value, the old one stays, trying again", err)
		return false, nil
	}
	if len(value) == 0 {
		err = leadership.Delete(ctx)
	} else {
		err = leadership.Put(ctx, value)
	}
	switch {
	case err == nil:
		d.Log.Info("published", "value", d.Value, "instances", len(s.Instances), "revision", s.Revision)
		return true, nil
	case errors.Is(err, discovery.ErrConflict), errors.Is(err, discovery.ErrDenied), errors.Is(err, discovery.ErrInvalid):
		return false, err
	}
	d.warn(ctx, "cannot publish the value, trying again", err)
	return false, nil
}

// warn tells what goes wrong while this process directs; what ends with ctx is no failure.
func (d Director) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		d.Log.Warn(what, "service", d.Service, "value", d.Value, "error", err)
	}
}

// validValue refuses what no variable can hold.
func validValue(name string, value []byte) error {
	if i := bytes.IndexByte(value, 0); i >= 0 {
		return discovery.Mark(discovery.ErrInvalid, fmt.Errorf("the value has a NUL byte at offset %d", i))
	}
	return discovery.ValidValue(name, value)
}
