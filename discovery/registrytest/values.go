package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func (s *suite) values() discovery.Values {
	s.Helper()
	v, ok := s.open().(discovery.Values)
	s.need("values", ok)
	return v
}

func values(s *suite) {
	v, other := s.values(), s.values()
	if checker, can := v.(discovery.AccessChecker); can {
		s.noError(checker.MayWrite(s.ctx))
	}
	names, err := v.List(s.ctx)
	s.noError(err)
	require.Equal(s, []string{}, names)
	_, err = v.Get(s.ctx, "DATABASE_URL")
	s.isError(err, discovery.ErrNotFound)
	s.isError(v.Delete(s.ctx, "DATABASE_URL"), discovery.ErrNotFound)
	for _, data := range [][]byte{{}, []byte("postgres://u:p@h/db\n"), {1, 255}, bytes.Repeat([]byte("x"), discovery.MaxValue)} {
		s.noError(v.Put(s.ctx, "DATABASE_URL", data, 0))
		got, err := other.Get(s.ctx, "DATABASE_URL")
		s.noError(err)
		require.True(s, bytes.Equal(data, got))
	}
	s.noError(v.Put(s.ctx, "_A1", []byte(secret), 0))
	names, err = v.List(s.ctx)
	s.noError(err)
	require.Equal(s, []string{"DATABASE_URL", "_A1"}, names)
	s.noError(v.Delete(s.ctx, "DATABASE_URL"))
	_, err = other.Get(s.ctx, "DATABASE_URL")
	s.isError(err, discovery.ErrNotFound)

	for _, name := range []string{"", "1A", "A-B", "A/B", "../A", "Ä"} {
		s.isError(v.Put(s.ctx, name, nil, 0), discovery.ErrInvalid)
		_, err := v.Get(s.ctx, name)
		s.isError(err, discovery.ErrInvalid)
		s.isError(v.Delete(s.ctx, name), discovery.ErrInvalid)
		_, err = v.WatchValue(s.ctx, name)
		s.isError(err, discovery.ErrInvalid)
	}
	s.isError(v.Put(s.ctx, "LONG", bytes.Repeat([]byte("x"), discovery.MaxValue+1), 0), discovery.ErrInvalid)
	s.isError(v.Put(s.ctx, "LONG", nil, -1), discovery.ErrInvalid)
	s.isError(v.Put(s.ctx, "NUL", []byte("a\x00b"), 0), discovery.ErrInvalid)
}

// swappedValue is written only where it is as the writer knows it.
func swappedValue(s *suite) {
	v := s.values()
	swapper, ok := v.(discovery.Swapper)
	s.need("values that are swapped", ok)
	s.isError(swapper.SwapValue(s.ctx, "A", []byte("old"), []byte("new")), discovery.ErrConflict)
	s.noError(swapper.SwapValue(s.ctx, "A", nil, []byte("one")))
	s.isError(swapper.SwapValue(s.ctx, "A", nil, []byte("two")), discovery.ErrConflict)
	s.isError(swapper.SwapValue(s.ctx, "A", []byte("two"), []byte("three")), discovery.ErrConflict)
	s.isError(swapper.SwapValue(s.ctx, "A", []byte{}, []byte("three")), discovery.ErrConflict)
	s.noError(swapper.SwapValue(s.ctx, "A", []byte("one"), []byte("two")))
	got, err := v.Get(s.ctx, "A")
	s.noError(err)
	require.Equal(s, "two", string(got))
	s.isError(swapper.SwapValue(s.ctx, "A-", nil, nil), discovery.ErrInvalid)

	winners := make(chan error)
	for i := range 8 {
		go func() { winners <- swapper.SwapValue(s.ctx, "RACE", nil, []byte(fmt.Sprint(i))) }()
	}
	won := 0
	for range 8 {
		if err := <-winners; err == nil {
			won++
		} else {
			s.isError(err, discovery.ErrConflict)
		}
	}
	require.Equal(s, 1, won)
}

func valueTTL(s *suite) {
	v := s.values()
	err := v.Put(s.ctx, "SHORT", []byte("1"), s.ttl())
	if errors.Is(err, discovery.ErrUnsupported) {
		s.need("values with a TTL", false)
	}
	s.noError(err)
	s.noError(v.Put(s.ctx, "KEPT", []byte("1"), s.ttl()))
	s.noError(v.Put(s.ctx, "KEPT", []byte("2"), 0)) // and now for ever
	data, err := v.Get(s.ctx, "SHORT")
	s.noError(err)
	require.Equal(s, "1", string(data))
	s.eventually(func() error {
		if _, err := v.Get(s.ctx, "SHORT"); !errors.Is(err, discovery.ErrNotFound) {
			return fmt.Errorf("the value is still there: %v", err)
		}
		return nil
	})
	data, err = v.Get(s.ctx, "KEPT")
	s.noError(err)
	require.Equal(s, "2", string(data))
}

func watchValue(s *suite) {
	v, other := s.values(), s.values()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	changes, err := v.WatchValue(ctx, "NAME")
	s.noError(err)
	require.Equal(s, discovery.Value{}, receive(s, "first value", changes))
	await := func(want discovery.Value) {
		s.Helper()
		for got := receive(s, "value", changes); ; got = receive(s, "value", changes) {
			if got.Found == want.Found && string(got.Data) == string(want.Data) && !got.Stale {
				return
			}
		}
	}
	s.noError(other.Put(s.ctx, "NAME", []byte("1"), 0))
	await(discovery.Value{Data: []byte("1"), Found: true})
	s.noError(other.Put(s.ctx, "NAME_TOO", []byte("x"), 0))
	s.noError(other.Put(s.ctx, "NAME", nil, 0))
	await(discovery.Value{Found: true})
	s.noError(other.Delete(s.ctx, "NAME"))
	await(discovery.Value{})
	for n := range 100 {
		s.noError(other.Put(s.ctx, "NAME", fmt.Append(nil, n), 0))
	}
	await(discovery.Value{Data: []byte("99"), Found: true})
	cancel()
	closed(s, "the watch", changes)
}

func (s *suite) elector() (discovery.Elector, discovery.Values) {
	s.Helper()
	registry := s.open()
	e, ok := registry.(discovery.Elector)
	s.need("elections", ok)
	return e, registry.(discovery.Values)
}

// campaign stands for election in the background.
func (s *suite) campaign(elector discovery.Elector, name string) <-chan discovery.Leadership {
	led := make(chan discovery.Leadership, 1)
	go func() {
		if leader, err := elector.Campaign(s.ctx, name, s.keptTTL()); err == nil {
			led <- leader
		}
		close(led)
	}()
	s.Cleanup(func() {
		for leader := range led {
			_ = leader.Close()
		}
	})
	return led
}

func election(s *suite) {
	elector, v := s.elector()
	_, err := elector.Campaign(s.ctx, "not-a-name", 0)
	s.isError(err, discovery.ErrInvalid)
	first := receive(s, "leader", s.campaign(elector, "ADDRESS"))
	s.noError(first.Put(s.ctx, []byte("1")))
	other, _ := s.elector()
	waiting := s.campaign(other, "ADDRESS")
	elsewhere := receive(s, "leader for another", s.campaign(other, "OTHER"))
	s.close(elsewhere)

	ctx, cancel := context.WithTimeout(s.ctx, s.ttl())
	third, _ := s.elector()
	_, err = third.Campaign(ctx, "ADDRESS", s.ttl())
	cancel()
	require.ErrorIs(s, err, context.DeadlineExceeded, "two may not lead")
	require.Empty(s, waiting)
	select {
	case <-first.Done():
		s.Fatal("a leader lost for no reason")
	default:
	}

	s.close(first)
	closed(s, "Done", first.Done())
	second := receive(s, "second leader", waiting)
	s.noError(second.Put(s.ctx, []byte("2")))
	s.isError(first.Put(s.ctx, []byte("1 again")), discovery.ErrConflict)
	s.isError(first.Delete(s.ctx), discovery.ErrConflict)
	data, err := v.Get(s.ctx, "ADDRESS")
	s.noError(err)
	require.Equal(s, "2", string(data))
	s.noError(second.Delete(s.ctx))
	s.noError(second.Delete(s.ctx))
	_, err = v.Get(s.ctx, "ADDRESS")
	s.isError(err, discovery.ErrNotFound)
	s.noError(second.Put(s.ctx, []byte("3")))
	s.close(second)
	time.Sleep(s.ttl())
	data, err = v.Get(s.ctx, "ADDRESS")
	s.noError(err)
	require.Equal(s, "3", string(data), "the value outlives its leader")
}

// electionLost: a leader whose lease is taken away learns of it and writes no more.
func electionLost(s *suite) {
	s.need("lost leases", s.Revoke != nil)
	elector, _ := s.elector()
	first := receive(s, "leader", s.campaign(elector, "ADDRESS"))
	s.noError(first.Put(s.ctx, []byte("1")))
	other, _ := s.elector()
	s.Revoke(s, s.prefix)
	closed(s, "Done", first.Done())
	s.isError(first.Put(s.ctx, []byte("2")), discovery.ErrConflict)
	second := receive(s, "second leader", s.campaign(other, "ADDRESS"))
	s.noError(second.Put(s.ctx, []byte("3")))
	s.close(second)
}
