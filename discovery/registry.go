package discovery

import (
	"bytes"
	"context"
	"time"
)

// MaxValue is the greatest length of a value, in bytes: what the environment of a Linux process holds
// in one variable.
const MaxValue = 131071

// Registry remembers who serves what. It is safe for use by many goroutines.
//
// A call ends at its context or after the URL's timeout (5 s), whichever is first; its error then
// matches [ErrUnavailable] and says which addresses were tried and for how long. Reads are
// linearizable unless the URL says stale=1. Every error is an [Error].
type Registry interface {
	// Register announces an instance and keeps it announced. It checks the instance (ErrInvalid), starts
	// announcing, and returns without waiting for the registry: see [Registration.WaitReady]. A registry
	// that is unreachable is tried again with back-off for as long as it takes.
	//
	// ctx is the registration's life: when it ends, the registration withdraws as by Close. A ttl of 0
	// is the layout's own, where it has one, else [DefaultTTL]; an engine may grant more than is asked for,
	// and ZooKeeper less, where its server allows no more. The caller closes the Registration.
	//
	// When the same ID is registered twice, the newest Register wins; the other ends with ErrConflict.
	Register(ctx context.Context, in Instance, ttl time.Duration, options ...RegisterOption) (Registration, error)

	// Instances reads a service. Nobody there is an empty snapshot and no error.
	Instances(ctx context.Context, service string, q Query) (Snapshot, error)

	// Services lists the names of all services that have an instance in any state, sorted.
	Services(ctx context.Context) ([]string, error)

	// Watch reads a service and goes on. It blocks until the first snapshot is read and returns its error
	// if it cannot; that snapshot is in the channel at once, even if empty. From then on every change
	// gives a snapshot; a slow reader gets the newest only. While the registry is unreachable, the last
	// snapshot comes again with Stale set, and a fresh one as soon as it can: an outage is never an empty
	// snapshot. The channel is closed when ctx ends or the Registry is closed, and only then.
	Watch(ctx context.Context, service string, q Query) (<-chan Snapshot, error)

	// Close withdraws what is still registered, ends the watches, closes connections and waits for it
	// all. It may be called twice.
	Close() error
}

// RegisterOption asks Register for more.
type RegisterOption func(*RegisterOptions)

// RegisterOptions are what the options of a Register set. Engines read them by [NewRegisterOptions].
type RegisterOptions struct {
	SyncCredentials bool
}

// NewRegisterOptions applies options to the defaults.
func NewRegisterOptions(options []RegisterOption) RegisterOptions {
	var o RegisterOptions
	for _, set := range options {
		set(&o)
	}
	return o
}

// SyncCredentials makes the service's instances share the newest registrant's user and password: this
// Register writes its own, if it has any, for all; when another registers later, this registration
// takes over those, in its record too. A re-registration after an outage adopts what is there.
func SyncCredentials(o *RegisterOptions) { o.SyncCredentials = true }

// Registration is a live announcement. It renews itself at a third of its TTL and announces itself
// again after a lost lease, session or partition. It is safe for use by many goroutines.
type Registration interface {
	// ID is the instance's ID, also when the layout made it.
	ID() string

	// TTL is how long the announcement outlives its process: as granted once ready, as asked before.
	TTL() time.Duration

	// WaitReady blocks until the instance was announced for the first time. Its error is ctx's with the
	// reason of the last failure, which matches ErrUnavailable, or Err when the registration ended.
	WaitReady(ctx context.Context) error

	// Credentials gives the credentials now announced and a channel that gets the newest ones whenever
	// SyncCredentials changed them. Every call gives the same channel; it is closed with Done.
	Credentials() (Credentials, <-chan Credentials)

	// Update announces the instance anew; service and ID stay what they are, fields of the record
	// that this version does not know are kept. It blocks until the registry has it. If the registry
	// cannot be reached it returns ErrUnavailable, and the new announcement is made once it can.
	Update(ctx context.Context, in Instance) error

	// Done is closed when the registration has ended and nothing of it is left to run.
	Done() <-chan struct{}

	// Err is nil before Done and after Close or Leave; else why it ended: ErrConflict when the ID was taken over,
	// ErrDenied, or the error of Register's context.
	Err() error

	// Close withdraws the announcement, only its own, and waits for that, for two seconds at most. An
	// error means that the entry stays until its TTL runs out. It may be called twice.
	Close() error

	// Leave ends the registration as Close does, but leaves the announcement to its TTL: for a process
	// that is about to be started again and then registers the same ID, so that nobody sees a gap. After
	// Close it does nothing.
	Leave()
}

// Value is what WatchValue delivers.
type Value struct {
	Data  []byte // nil when not found
	Found bool   // whether there is such a value
	Stale bool   // the registry is unreachable; this is the last known
}

// Values is the extra ability to keep named texts. Names are as those of environment variables and
// values at most MaxValue bytes and none of them NUL, else the error matches ErrInvalid.
type Values interface {
	// Get reads a value. ErrNotFound when there is none.
	Get(ctx context.Context, name string) ([]byte, error)

	// Put writes a value that lasts for ttl, or for ever when ttl is 0. An engine may grant more time.
	// ErrUnsupported where an engine has no values with a TTL.
	Put(ctx context.Context, name string, value []byte, ttl time.Duration) error

	// Delete removes a value. ErrNotFound when there is none.
	Delete(ctx context.Context, name string) error

	// List gives the names of all values, sorted.
	List(ctx context.Context) ([]string, error)

	// WatchValue is [Registry.Watch] for a value; one that is not there is delivered too.
	WatchValue(ctx context.Context, name string) (<-chan Value, error)
}

// AllValues is the extra ability of Values to give all of them at once.
type AllValues interface {
	// GetAll reads all values by their names, in one call where the engine has one for that. Among them are those
	// that another client gave a name which no variable can have, and values that no variable holds: neither can be
	// read by Get or written by Put. A key that stands deeper is no value and skipped with a warning.
	GetAll(ctx context.Context) (map[string][]byte, error)

	// WatchAll is [Registry.Watch] for what GetAll reads.
	WatchAll(ctx context.Context) (<-chan ValueSet, error)
}

// ValueSet is what WatchAll delivers.
type ValueSet struct {
	Values map[string][]byte // by name; what is read of it is shared, and not to be changed
	Stale  bool              // the registry cannot be asked; these are the last known
}

// AccessChecker is the extra ability of Values to tell who may write.
type AccessChecker interface {
	// MayWrite asks whether values may be written, and writes nothing: ErrDenied if they may not.
	MayWrite(ctx context.Context) error
}

// Swapper is the extra ability of Values to write only what is as the writer knows it.
type Swapper interface {
	// SwapValue writes a value, for ever, if what stands there is old, to the byte; or, with old nil, if nothing
	// does. Else the error matches ErrConflict. One that matches ErrUnavailable leaves open whether it was written.
	SwapValue(ctx context.Context, name string, old, value []byte) error
}

// Elector is the extra ability to choose one among many, for the writer of a value.
type Elector interface {
	// Campaign blocks until this process alone leads for the value called name, or ctx ends. It rides out
	// an outage; ErrDenied and ErrInvalid end it. ctx is the life of the campaign alone; the caller closes
	// the Leadership. A leader that dies is followed within ttl; 0 is DefaultTTL.
	Campaign(ctx context.Context, name string, ttl time.Duration) (Leadership, error)
}

// Leadership is being the one. Each write is fenced: it happens only if this process still leads at
// that moment, else the error matches ErrConflict. (Where an engine cannot, its Help says so.)
type Leadership interface {
	// Put writes the value, which outlives the leadership.
	Put(ctx context.Context, value []byte) error

	// Delete removes the value; that there is none is no error.
	Delete(ctx context.Context) error

	// Done is closed when this process leads no more.
	Done() <-chan struct{}

	// Close releases the lead, so that another can take it at once.
	Close() error
}

// Locker is the extra ability to let one process at a time do something.
type Locker interface {
	// Lock blocks until this process alone holds the lock called name, or ctx ends, whose error it then gives. The
	// name may be any text of up to [MaxLockName] bytes. A registry that cannot be reached at first is
	// ErrUnavailable; a later outage is ridden out. ctx is the life of the waiting alone; the caller closes what it
	// is given. An owner that dies is followed when ttl has passed, or what the engine grants in its place; 0 is
	// DefaultTTL. Whether those who wait get it in the order of their calls is the engine's.
	Lock(ctx context.Context, name string, ttl time.Duration) (Held, error)

	// TryLock is Lock that does not wait: ErrConflict when another holds it.
	TryLock(ctx context.Context, name string, ttl time.Duration) (Held, error)
}

// Held is a lock that this process holds.
type Held interface {
	// Token is greater than that of each earlier owner, for resources that refuse who comes with a lesser one than
	// they have seen. It is 0 where the engine has none.
	Token() int64

	// Done is closed when the lock is lost, or has not been renewed for so long that another may hold it after
	// Margin. What is done under the lock has to end by then.
	Done() <-chan struct{}

	// Margin is that time.
	Margin() time.Duration

	// Close releases the lock, so that another can have it at once. Until then nothing is released, be it lost.
	Close() error
}

// MaxLockName is the greatest length of a lock's name, in bytes.
const MaxLockName = 200

// ValidLockName reports, as ErrInvalid, a name that no lock can have.
func ValidLockName(name string) error {
	switch {
	case name == "":
		return Invalidf("the lock has no name")
	case len(name) > MaxLockName:
		return Invalidf("the name of the lock has %d bytes, %d is the most", len(name), MaxLockName)
	}
	return nil
}

// ValidValueName reports, as ErrInvalid, a name that no environment variable can have.
func ValidValueName(name string) error {
	if name == "" {
		return Invalidf("the value has no name")
	}
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return Invalidf("%q is no name of a variable: letters, digits and _, no digit first", name)
		}
	}
	return nil
}

// ValidValue reports, as ErrInvalid, a name that no variable can have or a value that none can hold.
func ValidValue(name string, value []byte) error {
	if len(value) > MaxValue {
		return Invalidf("the value has %d bytes, %d is the most a variable holds", len(value), MaxValue)
	}
	if bytes.IndexByte(value, 0) >= 0 {
		return Invalidf("the value has a NUL byte, which no variable holds")
	}
	return ValidValueName(name)
}

// ValidTTL gives DefaultTTL for 0 and ErrInvalid for less.
func ValidTTL(ttl time.Duration) (time.Duration, error) {
	if ttl < 0 {
		return 0, Invalidf("a TTL of %s is less than nothing", ttl)
	}
	if ttl == 0 {
		return DefaultTTL, nil
	}
	return ttl, nil
}
