package driver

import (
	"context"
	"log/slog"
	"time"

	"github.com/envharness/envharness/discovery"
)

// Record is what stands in the registry for an instance. It is made once for each change of the instance.
type Record struct {
	Key      string // stays what it is for as long as the registration lasts
	Value    []byte
	Instance discovery.Instance

	what *Registering
}

// Over gives the record's value with the fields kept that this version does not know, of the value that stands there.
func (r Record) Over(was []byte) ([]byte, error) {
	before, err := r.what.Decode(r.Key, was)
	if err != nil || len(before.Unknown) == 0 {
		return r.Value, nil
	}
	_, value, _, err := r.what.Encode(r.Instance.KeepUnknown(before))
	return value, err
}

// Of gives the record of another state of the instance.
func (r Record) Of(in discovery.Instance) (Record, error) {
	_, value, _, err := r.what.Encode(in)
	r.Value, r.Instance = value, in
	return r, err
}

// Lease is one registration as an engine keeps it. Its methods are called one at a time, and end within the
// registry's timeout.
type Lease interface {
	// Register writes the record. With takeOver it is the newest Register and takes the ID from whoever
	// has it. Otherwise it writes only if there is no record or its own, else ErrConflict. It is called
	// again after an error (the record may have been written), after ErrLost, and after Deregister.
	Register(ctx context.Context, record Record, takeOver bool) (Grant, error)

	// Renew extends the registration by its TTL and makes sure that the record is still there and its own:
	// ErrLost if it is gone, ErrConflict if another has taken it.
	Renew(ctx context.Context, record Record) error

	// Update writes the record, only in place of its own: ErrLost or ErrConflict as in Renew. It writes
	// [Record.Over] what it replaces.
	Update(ctx context.Context, record Record) error

	// Deregister removes the record if it is its own. It follows a Register that failed, too.
	Deregister(ctx context.Context) error
}

// Own is what Renew and Update find of a record: nil for its own, ErrLost when there is none, ErrConflict when it is
// another's.
func Own(there, own bool) error {
	switch {
	case !there:
		return ErrLost
	case !own:
		return discovery.ErrConflict
	}
	return nil
}

// LossNotifier is a Lease or a Lock that notices by itself that it was lost. Lost gives a channel that receives then;
// it is called once, before anything else. Renew looks into it.
type LossNotifier interface {
	Lost() <-chan struct{}
}

// Detacher is a Lease that something keeps alive beside Renew. Detach stops that, and leaves the record to its
// TTL, or to who has taken it over; it is called once, instead of Deregister.
type Detacher interface {
	Detach()
}

// Grant is what the engine gave.
type Grant struct {
	TTL   time.Duration
	Token int64         // of a lock: greater than that of each earlier owner; 0 where the engine has none
	Every time.Duration // how often to renew; a third of the TTL when 0
}

// every is how often to renew.
func (g Grant) every() time.Duration {
	if g.Every == 0 {
		return g.TTL / 3
	}
	return g.Every
}

// Registering tells Register about what it keeps.
type Registering struct {
	Instance    discovery.Instance // normalized, with its ID
	TTL         time.Duration      // as asked
	Timeout     time.Duration      // of one step
	Credentials CredentialStore    // nil: they are not shared
	Log         *slog.Logger

	// Encode gives the record of an instance; ok is false while it is to have none. Decode reads one.
	Encode func(discovery.Instance) (key string, value []byte, ok bool, err error)
	Decode func(key string, value []byte) (discovery.Instance, error)

	failer
}
