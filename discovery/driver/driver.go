// Package driver is what engines share. An engine supplies single steps, as a [Backend]: read, write and follow
// keys, keep one record, hold one lock. This package decides when each step is taken, what is tried again, and what
// the users of the registry see of it:
//
//   - [Registry] is discovery.Registry, discovery.Values and discovery.Elector over a Backend;
//   - [Register] keeps one registration, a [Lease];
//   - [Hub] follows each place once, by a [Source], for all who watch it;
//   - [Campaign] makes an election of a [Lock];
//   - [Exclusive] makes stores, leases and locks where an engine keeps others out for some steps together;
//   - [LeasePool] shares a server's leases among registrations, and [MultiLease] keeps several records of one;
//   - [Call] bounds a step in time and gives its error a kind.
//
// Errors of steps have their kind, one of package discovery's, and say why; what was tried, and on what, is added
// here.
package driver

import (
	"context"
	"time"

	"github.com/envharness/envharness/discovery"
)

// Version identifies what stands at a key, in numbers of the engine's own. One number is seldom enough: a server that has
// lost its data counts from the beginning.
type Version [4]int64

// Item is what stands at a key.
type Item struct {
	Key   string
	Value []byte

	// Version is another one after each write. [Store.Swap] compares it, and what was decoded is not decoded again
	// while it stays.
	Version Version

	// Gone is set when nothing stands at the key.
	Gone bool

	// Note is the engine's own, for its [Decoder].
	Note any
}

// Changes are items, in the order of their changes.
type Changes struct {
	Items    []Item
	Whole    bool   // the items are all there is: every other is gone
	Revision string // the engine's count of changes, with these
	Never    bool   // the engine knows that there never was anything
}

// Store keeps bytes at keys. Its methods are single steps, which may be called by many goroutines and end within the
// registry's timeout. A key begins with a slash; one that ends with a slash stands for all keys that begin with it.
type Store interface {
	// Get reads a key. With latest, stale=1 does not count: a write depends on it.
	Get(ctx context.Context, key string, latest bool) (Item, error)

	// List reads all items below a prefix, as a whole.
	List(ctx context.Context, prefix string) (Changes, error)

	// Put writes a key that lasts for ttl, or for ever when ttl is 0.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Swap writes a key, for ever, if it still is as was; swapped is false if it is not.
	Swap(ctx context.Context, was Item, value []byte) (swapped bool, err error)

	// Delete removes a key.
	Delete(ctx context.Context, key string) (found bool, err error)

	// Follow gives a source of one key, or of all below a prefix. It does nothing before its first Read.
	Follow(key string) Source
}

// Source follows a place. Its methods are called one at a time.
type Source interface {
	// Read subscribes to changes and then reads all that is there; it replaces an earlier subscription. It ends
	// within the registry's timeout.
	Read(ctx context.Context) (Changes, error)

	// Next blocks until there are changes since the last Read or Next, and gives them. It has no time limit. When
	// ctx ends it returns soon, and what it has not given it gives the next time. An error means that the
	// subscription is broken; Read follows. ErrGap says that nothing but that is wrong.
	Next(ctx context.Context) (Changes, error)

	// Close ends the subscription.
	Close()
}

// Refresher is a Source that need not read all again to be as new as a call. Refresh gives the changes, if any, until
// then; it may be called after Read, and ends within the registry's timeout. Errors are those of Next.
type Refresher interface {
	Refresh(ctx context.Context) (Changes, error)
}

// Backend is an engine that keeps keys. What it can do beside, it says by further interfaces: Pinger, Fitter, Encoder,
// RecordChecker, Decoder, KeyLister, ServiceLister, WriteChecker.
type Backend interface {
	Store

	// NewLease gives the lease of a registration, whose ID and TTL are known. It does nothing yet.
	NewLease(in discovery.Instance, ttl time.Duration) Lease

	// NewLock gives a lock that is held by the key of an election, or by those below it. It does nothing yet.
	NewLock(key string, ttl time.Duration) Lock

	// Hint says what people can do about an error that has its kind; "" if nothing is known.
	Hint(err error) string

	// Close disconnects. Nothing else runs any more.
	Close() error
}

// Pinger is a Backend whose sources cannot tell silence from an outage. Ping asks as a read would, for little; it is
// called every two seconds while something is followed.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Fitter is a Backend that does more than its layout to an instance before it is registered: it gets its ID, and one
// that cannot be written is ErrInvalid.
type Fitter interface {
	Fit(in discovery.Instance) (discovery.Instance, error)
}

// Encoder is a Backend that makes the record of an instance otherwise than its layout: ok is false while the instance
// is to have none.
type Encoder interface {
	Encode(in discovery.Instance) (key string, value []byte, ok bool, err error)
}

// RecordChecker is a Backend that cannot hold every record that its layout writes. CheckRecord looks at the key and the
// value alone; one that cannot be written is ErrInvalid.
type RecordChecker interface {
	CheckRecord(key string, value []byte) error
}

// Decoder is a Backend that makes instances of items otherwise than its layout; ok is false for an item that is none.
type Decoder interface {
	Decode(item Item) (in discovery.Instance, ok bool)
}

// KeyLister is a Backend that lists the keys below a prefix, in any order, for less than reading all that stands there.
type KeyLister interface {
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// ServiceLister is a Backend that lists the names of services, in any order, for less than reading all of them.
type ServiceLister interface {
	ListServices(ctx context.Context) ([]string, error)
}
