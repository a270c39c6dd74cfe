// Package memory is the engine memory://NAME: a registry within this process, for tests. Registries of the
// same name share what they hold, which lasts as long as the process; nothing is written anywhere.
//
// It is a whole engine and passes the suite of all engines: TTLs run out, watches follow, credentials are
// shared, a leader is alone.
package memory

import (
	"context"
	"errors"
	"sync"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// Engine is memory://NAME.
var Engine = discovery.Engine{
	Scheme: "memory",
	Help:   "memory://NAME: in this process, for tests.",
	Promises: discovery.Promises{
		Death:     "Gone when its TTL runs out.",
		Partition: "There is none.",
		Director:  "One at a time, each write fenced.",
		Limits:    "Nothing outlives the process, and no other sees it.",
	},
	Layouts:  []string{"native"},
	Validate: validate,
	Check:    func(context.Context, discovery.Config) error { return nil },
	Open:     driver.Opener(open),
}

func validate(config discovery.Config) error {
	if len(config.Hosts) > 1 {
		return discovery.Mark(discovery.ErrInvalid, errors.New("memory has one NAME"))
	}
	return nil
}

// stores are the memories by name.
var stores = struct {
	lock   sync.Mutex
	byName map[string]*store
}{byName: map[string]*store{}}

// storeOf gives the store that a URL names.
func storeOf(config discovery.Config) *store {
	name := config.Prefix
	if len(config.Hosts) > 0 {
		name = config.Hosts[0] + "/" + name
	}
	stores.lock.Lock()
	defer stores.lock.Unlock()
	if stores.byName[name] == nil {
		stores.byName[name] = newStore()
	}
	return stores.byName[name]
}

func open(config discovery.Config) (*driver.Registry, error) {
	s := storeOf(config)
	return driver.Open(config, layout.Native(""), &backend{s.alone}, 0), nil
}

// backend is one opening of a store.
type backend struct{ driver.Exclusive }

func (b *backend) Hint(error) string { return "" }
func (b *backend) Close() error      { return nil }
