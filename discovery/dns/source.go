package dns

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// found is what servers say of a service.
type found struct {
	instances []discovery.Instance
	absent    bool // there is no such name
	ttl       time.Duration
}

var seed = maphash.MakeSeed()

// changes are all instances as items below a key.
func (f found) changes(key string) driver.Changes {
	c := driver.Changes{Whole: true, Never: f.absent}
	for _, in := range f.instances {
		text, _ := json.Marshal(in) // texts and numbers alone
		c.Items = append(c.Items, driver.Item{
			Key:     key + in.ID,
			Version: driver.Version{int64(maphash.Bytes(seed, text))},
			Note:    in,
		})
	}
	return c
}

// source looks a service up again when the TTL of what it found has ended.
type source struct {
	look func(context.Context) (found, error)
	key  string
	due  time.Time
	seen bool // there was something once
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	f, err := s.look(ctx)
	if err != nil {
		return driver.Changes{}, err
	}
	s.due = time.Now().Add(min(max(f.ttl, minTTL), maxTTL))
	s.seen = s.seen || !f.absent
	f.absent = !s.seen
	return f.changes(s.key), nil
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	timer := time.NewTimer(time.Until(s.due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.Read(ctx)
	case <-ctx.Done():
		return driver.Changes{}, ctx.Err()
	}
}

func (s *source) Close() {}
