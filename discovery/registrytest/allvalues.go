package registrytest

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// ofValues are the tests for a layout that has values alone.
func ofValues() map[string]func(*suite) {
	tests := map[string]func(*suite){"nothing beside values": valuesAlone}
	for _, name := range []string{"values", "all values", "many values", "value with a TTL", "swapped value", "watch a value"} {
		tests[name] = calm[name]
	}
	return tests
}

// valuesAlone: what is no value is ErrUnsupported, and leaves nothing behind.
func valuesAlone(s *suite) {
	registry := s.open()
	_, err := registry.Register(s.ctx, s.instance("web", "a", 1), s.ttl())
	s.isError(err, discovery.ErrUnsupported)
	_, err = registry.Instances(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrUnsupported)
	_, err = registry.Services(s.ctx)
	s.isError(err, discovery.ErrUnsupported)
	_, err = registry.Watch(s.ctx, "web", discovery.Query{})
	s.isError(err, discovery.ErrUnsupported)
	_, err = registry.(discovery.Elector).Campaign(s.ctx, "NAME", s.ttl())
	s.isError(err, discovery.ErrUnsupported)
	_, err = registry.(discovery.Locker).Lock(s.ctx, "NAME", s.ttl())
	s.isError(err, discovery.ErrUnsupported)
	names, err := registry.(discovery.Values).List(s.ctx)
	s.noError(err)
	require.Empty(s, names)
}

func (s *suite) allValues() (discovery.AllValues, discovery.Values) {
	s.Helper()
	registry := s.open()
	all, ok := registry.(discovery.AllValues)
	s.need("all values at once", ok)
	return all, registry.(discovery.Values)
}

// allValues: what others wrote is seen as a whole, at once and as it changes.
func allValues(s *suite) {
	all, _ := s.allValues()
	other := s.values()
	got, err := all.GetAll(s.ctx)
	s.noError(err)
	require.Equal(s, map[string][]byte{}, got)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	sets, err := all.WatchAll(ctx)
	s.noError(err)
	require.Empty(s, receive(s, "first set", sets).Values)
	await := func(want string) {
		s.Helper()
		for set := receive(s, "set", sets); ; set = receive(s, "set", sets) {
			if !set.Stale && listed(set.Values) == want {
				return
			}
		}
	}
	s.noError(other.Put(s.ctx, "A", []byte("1"), 0))
	await("A=1")
	s.noError(other.Put(s.ctx, "_B", nil, 0))
	await("A=1 _B=")
	s.noError(other.Put(s.ctx, "A", []byte("\xff\n"), 0))
	await("A=\xff\n _B=")
	got, err = all.GetAll(s.ctx)
	s.noError(err)
	require.Equal(s, "A=\xff\n _B=", listed(got))
	late, err := all.WatchAll(ctx)
	s.noError(err)
	require.Equal(s, "A=\xff\n _B=", listed(receive(s, "first set of another", late).Values))
	s.noError(other.Delete(s.ctx, "A"))
	await("_B=")
	for n := range 50 {
		s.noError(other.Put(s.ctx, "_B", fmt.Append(nil, n), 0))
	}
	await("_B=49")
	cancel()
	closed(s, "the watch", sets)
	closed(s, "the other watch", late)
}

// listed gives values as NAME=VALUE, sorted by name.
func listed(values map[string][]byte) string {
	var all []string
	for name, value := range values {
		all = append(all, name+"="+string(value))
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}

// manyValues are read whole, be they more than one answer holds.
func manyValues(s *suite) {
	all, v := s.allValues()
	const count = 300
	for n := range count {
		s.noError(v.Put(s.ctx, fmt.Sprintf("N%d", n), []byte(strings.Repeat("x", 10_000)), 0))
	}
	got, err := all.GetAll(s.ctx)
	s.noError(err)
	require.Len(s, got, count)
	sets, err := all.WatchAll(s.ctx)
	s.noError(err)
	require.Len(s, receive(s, "set", sets).Values, count)
}
