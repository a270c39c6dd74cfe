package driver

import (
	"context"
	"errors"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// MultiLease is the lease of an instance that has several records. It registers the instance's own record, which says
// whose the ID is, and then the others. Each is kept by a lease of the engine, so a death takes all of them.
type MultiLease struct {
	// Encode gives the records that are to stand there, the own one first.
	Encode func(discovery.Instance) ([]layout.Record, error)

	// NewLease gives the lease of one record.
	NewLease func() Lease

	Timeout time.Duration // of all steps that one call takes

	own    Lease
	others map[string]*otherLease // by key
}

// otherLease keeps a record that is not the instance's own.
type otherLease struct {
	Lease
	stands bool // it was written
}

func (l *MultiLease) Register(ctx context.Context, record Record, takeOver bool) (grant Grant, err error) {
	if l.own == nil {
		l.own, l.others = l.NewLease(), map[string]*otherLease{}
	}
	err = l.both(ctx, record, true, func(ctx context.Context, own Record) (err error) {
		grant, err = l.own.Register(ctx, own, takeOver)
		return err
	})
	return grant, err
}

func (l *MultiLease) Renew(ctx context.Context, record Record) error {
	return l.both(ctx, record, false, l.own.Renew)
}

func (l *MultiLease) Update(ctx context.Context, record Record) error {
	return l.both(ctx, record, true, l.own.Update)
}

// both takes a step with the own record, and then brings the others up to date.
func (l *MultiLease) both(ctx context.Context, record Record, write bool, step func(context.Context, Record) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	all, err := l.split(record)
	if err == nil {
		err = step(ctx, all[0])
	}
	if err != nil {
		return err
	}
	return l.setOthers(ctx, all[1:], write)
}

// split makes the records of an instance.
func (l *MultiLease) split(record Record) ([]Record, error) {
	encoded, err := l.Encode(record.Instance)
	if err != nil || len(encoded) == 0 {
		return []Record{record}, err
	}
	all := make([]Record, len(encoded))
	for i, one := range encoded {
		all[i] = record
		all[i].Key, all[i].Value = one.Key, one.Value
	}
	return all, nil
}

// setOthers brings the other records up to date. Who has the ID has them too, whatever stands there; write is false
// to leave those alone that are well.
func (l *MultiLease) setOthers(ctx context.Context, records []Record, write bool) error {
	wanted := map[string]bool{}
	for _, record := range records {
		wanted[record.Key] = true
		if err := l.setOther(ctx, record, write); err != nil {
			return err
		}
	}
	for key, other := range l.others {
		if wanted[key] {
			continue
		}
		if err := other.Deregister(ctx); err != nil {
			return err
		}
		delete(l.others, key)
	}
	return nil
}

func (l *MultiLease) setOther(ctx context.Context, record Record, write bool) error {
	other := l.others[record.Key]
	if other == nil {
		other = &otherLease{Lease: l.NewLease()}
		l.others[record.Key] = other
	}
	if other.stands && !write {
		err := other.Renew(ctx, record)
		if !errors.Is(err, ErrLost) && !errors.Is(err, discovery.ErrConflict) {
			return err
		}
	}
	_, err := other.Register(ctx, record, true)
	other.stands = err == nil
	return err
}

// Deregister removes the own record last: of the others none is left that names what is not there.
func (l *MultiLease) Deregister(ctx context.Context) error {
	if l.own == nil {
		return nil
	}
	err := l.setOthers(ctx, nil, false)
	return errors.Join(err, l.own.Deregister(ctx))
}

// Detach is that of Detacher.
func (l *MultiLease) Detach() {
	leases := []Lease{l.own}
	for _, other := range l.others {
		leases = append(leases, other.Lease)
	}
	for _, one := range leases {
		if detacher, can := one.(Detacher); can {
			detacher.Detach()
		}
	}
}
