// Package service announces this container's own service: it finds the address that others reach the
// container at, registers, follows a check, and withdraws when it is told to or when the process that it
// stands for ends.
//
// The common case:
//
//	probe, err := service.TCP("127.0.0.1:80")
//	…
//	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
//	defer stop()
//	err = service.Announcement{
//		Instance: discovery.Instance{Service: "web", ID: id, Host: host, Ports: ports},
//		Check:    &service.Check{Probe: probe},
//	}.Hold(ctx, registry)
//
// envdiscover register is this package with options.
package service

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// Announcement is what to announce, and how.
type Announcement struct {
	Instance        discovery.Instance
	TTL             time.Duration // 0 is the layout's own, else discovery.DefaultTTL
	SyncCredentials bool          // see discovery.SyncCredentials

	// Host finds where the instance is reached. It is asked again every few seconds, and another answer is announced;
	// an error changes nothing. nil: the instance stays where it is.
	Host func() (string, error)

	// Check says how the instance is; its State is then starting at first. nil: it stays as Instance says.
	Check *Check

	// Wait is how long the registry may take to accept the first announcement; 0 is the time of one call.
	Wait time.Duration

	// Eventually makes an announcement that cannot be made yet no failure: it is made once it can.
	Eventually bool

	// Ready is called once the instance was announced for the first time, with Eventually at once. May be nil.
	Ready func()

	Log *slog.Logger // nil is slog.Default
}

// Hold announces until ctx ends, and then withdraws. Its error is nil if that was done; else it is that of
// Register, or of [discovery.Registration.WaitReady] when Wait has passed, or what ended the registration
// (discovery.ErrConflict: another took the ID), or what kept it from withdrawing: then the entry stays until
// its TTL runs out.
func (a Announcement) Hold(ctx context.Context, registry discovery.Registry) error {
	if a.Log == nil {
		a.Log = slog.Default()
	}
	if a.Check != nil {
		a.Instance.State = discovery.Starting
	}
	var options []discovery.RegisterOption
	if a.SyncCredentials {
		options = append(options, discovery.SyncCredentials)
	}
	registration, err := registry.Register(context.WithoutCancel(ctx), a.Instance, a.TTL, options...)
	if err != nil {
		return err
	}
	err = a.keep(ctx, registration)
	if withdrawal := registration.Close(); err == nil {
		err = withdrawal
	}
	return err
}

// keep waits for the announcement and follows the check, until ctx or the registration ends.
func (a Announcement) keep(ctx context.Context, registration discovery.Registration) error {
	if err := a.waitReady(ctx, registration); err != nil || ctx.Err() != nil {
		return err
	}
	if a.Ready != nil {
		a.Ready()
	}
	life, end := context.WithCancel(ctx)
	var follower sync.WaitGroup
	defer follower.Wait()
	defer end()
	c := &current{instance: a.Instance, registration: registration, log: a.Log}
	if a.Check != nil {
		follower.Go(func() { c.followCheck(life, *a.Check) })
	}
	if a.Host != nil {
		follower.Go(func() { c.followHost(life, a.Host) })
	}
	select {
	case <-ctx.Done():
		return nil
	case <-registration.Done():
		return registration.Err()
	}
}

// waitReady waits for the first announcement. That ctx ended meanwhile is no error: there is nothing to hold.
func (a Announcement) waitReady(ctx context.Context, registration discovery.Registration) error {
	if a.Eventually {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(a.Wait, discovery.DefaultTimeout))
	defer cancel()
	err := registration.WaitReady(bounded)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
