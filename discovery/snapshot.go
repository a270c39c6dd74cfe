package discovery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Query chooses among a service's instances. The zero Query asks for those that pass.
type Query struct {
	Shard string   // only those of this shard, if not empty
	Tags  []string // only those that have every one of these tags
	All   bool     // those that do not pass, too
}

// Matches reports whether the query asks for an instance.
func (q Query) Matches(in Instance) bool {
	if !q.All && in.State != Passing {
		return false
	}
	if q.Shard != "" && in.Shard != q.Shard {
		return false
	}
	for _, tag := range q.Tags {
		if !slices.Contains(in.Tags, tag) {
			return false
		}
	}
	return true
}

// Snapshot is what a service was at one moment. It is for reading: all who watch a service share the list and its
// instances, and instances share the maps and slices that are equal. Who wants to change an instance takes its
// [Instance.Clone], as First and One do; who wants to change the list takes slices.Clone of it.
type Snapshot struct {
	Service   string     `json:"service"`
	Instances []Instance `json:"instances"`          // sorted by ID; never nil from an engine
	Revision  string     `json:"revision,omitempty"` // the engine's own count of changes, opaque

	// Stale is set in a watch while the registry is unreachable: the instances are the last known.
	Stale bool `json:"stale,omitempty"`

	// Never is set when the engine knows that there never was such a service.
	Never bool `json:"-"`

	// Public is the service's own published address, in layouts that have one (scalingo): URL answers
	// from it when no shard was asked for.
	Public *Instance `json:"-"`

	// Query is what was asked.
	Query Query `json:"-"`
}

// NewSnapshot sorts and filters what an engine has read. It keeps no reference to all.
func NewSnapshot(service, revision string, q Query, all []Instance) Snapshot {
	chosen := make([]Instance, 0, len(all))
	for i := range all {
		if q.Matches(all[i]) {
			chosen = append(chosen, all[i])
		}
	}
	if byID := func(a, b Instance) int { return strings.Compare(a.ID, b.ID) }; !slices.IsSortedFunc(chosen, byID) {
		slices.SortFunc(chosen, byID)
	}
	return Snapshot{Service: service, Instances: chosen, Revision: revision, Query: q}
}

// First gives the instance with the lowest ID. With no instance the error matches [ErrNoInstance],
// [ErrNoInstanceOnShard] too when a shard was asked for, and [ErrNotFound] too when the engine knows
// that the service never was.
func (s Snapshot) First() (Instance, error) {
	if len(s.Instances) == 0 {
		return Instance{}, s.none()
	}
	return s.Instances[0].Clone(), nil
}

// One gives an instance by uniform chance. Errors are those of First.
func (s Snapshot) One() (Instance, error) {
	if len(s.Instances) == 0 {
		return Instance{}, s.none()
	}
	return s.Instances[rand.IntN(len(s.Instances))].Clone(), nil
}

// URL gives the address of the public service, where the layout has such, or of One among those that Addressable
// leaves. Errors are those of First and of [Instance.URL].
func (s Snapshot) URL(scheme, path string) (string, error) {
	if s.Public != nil && s.Query.Shard == "" {
		return s.Public.URL(scheme, path)
	}
	in, err := s.Addressable(scheme, false).One()
	if err != nil {
		return "", err
	}
	return in.URL(scheme, path)
}

// PrivateURL gives the private address of One among those that Addressable leaves. Errors are those of First and of [Instance.PrivateURL].
func (s Snapshot) PrivateURL(scheme, path string) (string, error) {
	in, err := s.Addressable(scheme, true).One()
	if err != nil {
		return "", err
	}
	return in.PrivateURL(scheme, path)
}

// Addressable leaves the instances of which [Instance.URL], or [Instance.PrivateURL], can make an address: of those
// the ones that have a port for the scheme by name, or a nameless one, if there are such, else the ones whose only
// port serves any scheme. With none it leaves all, whose errors say why.
func (s Snapshot) Addressable(scheme string, private bool) Snapshot {
	var named, other []Instance
	for _, in := range s.Instances {
		host, ports := in.endpoint(private)
		if _, err := in.url(host, ports, scheme, ""); err != nil {
			continue
		}
		_, hasName := ports[scheme]
		_, hasDefault := ports[DefaultPort]
		if hasName || hasDefault {
			named = append(named, in)
		} else {
			other = append(other, in)
		}
	}
	switch {
	case len(named) > 0:
		s.Instances = named
	case len(other) > 0:
		s.Instances = other
	}
	return s
}

// none is the error of an empty snapshot.
func (s Snapshot) none() error {
	err := ErrNoInstance
	if s.Query.Shard != "" {
		err = Mark(ErrNoInstance, fmt.Errorf("%w %q", ErrNoInstanceOnShard, s.Query.Shard))
	}
	if s.Never {
		err = Mark(ErrNotFound, err)
	}
	return &Error{Op: "find", Name: s.Service, Err: err}
}
