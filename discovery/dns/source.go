package dns

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/internal/backoff"
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

// followService looks a service up again when the TTL of what it found has ended.
func followService(key string, look func(context.Context) (found, error)) driver.Source {
	seen := false // there was something once
	return driver.LookAgain(func(ctx context.Context) (driver.Changes, func(context.Context) error, error) {
		f, err := look(ctx)
		if err != nil {
			return driver.Changes{}, nil, err
		}
		seen = seen || !f.absent
		f.absent = !seen
		due := time.Now().Add(min(max(f.ttl, minTTL), maxTTL))
		return f.changes(key), func(ctx context.Context) error { return backoff.Sleep(ctx, time.Until(due)) }, nil
	})
}
