package memory

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
)

func TestConformance(t *testing.T) {
	url := func(prefix string) string { return "memory://conformance/" + prefix }
	// every test has a store of its own, so an outage is one of all that a test has opened
	each := func(do func(*store)) {
		stores.lock.Lock()
		defer stores.lock.Unlock()
		for _, s := range stores.byName {
			do(s)
		}
	}
	registrytest.Run(t, registrytest.Server{
		Engine:  Engine,
		URL:     url,
		Kill:    func(testing.TB) { each(func(s *store) { s.setAway(true) }) },
		Restart: func(testing.TB) { each(func(s *store) { s.setAway(false) }) },
		Pause:   func(testing.TB) { each(func(s *store) { s.setAway(true) }) },
		Resume:  func(testing.TB) { each(func(s *store) { s.setAway(false) }) },
		Revoke: func(t testing.TB, prefix string) {
			_, config, err := discovery.NewEngines(Engine).Find(url(prefix))
			if err != nil {
				t.Fatal(err)
			}
			storeOf(config).revoke()
		},
	})
}

// revoke takes away every registration and leader.
func (s *store) revoke() {
	s.lock.Lock()
	defer s.lock.Unlock()
	for key, e := range s.entries {
		if e.owner != "" {
			_ = s.Remove(key)
		}
	}
}

func TestOneName(t *testing.T) {
	_, err := discovery.NewEngines(Engine).Open(t.Context(), "memory://a,b")
	require.ErrorIs(t, err, discovery.ErrInvalid)
}
