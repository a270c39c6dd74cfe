package registryd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// publish makes what was touched the newest state of the service.
func (s *mirrored) publish(name string, change int64, behind *behind) {
	behind.replaced(s.whole)
	behind.replaced(s.difference)
	s.before, s.at = s.at, change
	s.whole, s.difference = nil, nil
	s.changed = slices.Sorted(maps.Keys(s.touched))
	s.touched = nil
}

// wholeEvent is a discovery.Snapshot, sorted by ID, as readers are sent it. It is made when the first one asks.
func (s *mirrored) wholeEvent(name string) *event {
	if s.whole == nil {
		if s.sorted == nil {
			s.sorted = slices.Sorted(maps.Keys(s.instances))
		}
		s.whole = newWhole(name, s.instances, s.sorted)
	}
	return s.whole
}

func newWhole(name string, instances map[string]mirroredInstance, ids []string) *event {
	var encoded bytes.Buffer
	fmt.Fprintf(&encoded, "event: service\ndata: {\"service\":%s,\"instances\":[", quoted(name))
	appendInstances(&encoded, instances, ids)
	encoded.WriteString("]}\n\n")
	return newEvent(encoded.Bytes(), leasesOf(name, instances, ids))
}

// differenceEvent says which instances are new or have changed, and which are gone. It is made when the first reader
// asks, who then has what is known by then.
func (s *mirrored) differenceEvent(name string) *event {
	if s.difference != nil {
		return s.difference
	}
	var put, gone []string
	for _, id := range s.changed {
		if _, there := s.instances[id]; there {
			put = append(put, id)
		} else {
			gone = append(gone, id)
		}
	}
	var encoded bytes.Buffer
	fmt.Fprintf(&encoded, "event: change\ndata: {\"service\":%s,\"put\":[", quoted(name))
	appendInstances(&encoded, s.instances, put)
	encoded.WriteString(`],"gone":[`)
	for i, id := range gone {
		if i > 0 {
			encoded.WriteByte(',')
		}
		encoded.Write(quoted(id))
	}
	encoded.WriteString("]}\n\n")
	s.difference = newEvent(encoded.Bytes(), leasesOf(name, s.instances, put))
	return s.difference
}

func appendInstances(to *bytes.Buffer, instances map[string]mirroredInstance, ids []string) {
	for i, id := range ids {
		if i > 0 {
			to.WriteByte(',')
		}
		to.Write(instances[id].encoded)
	}
}

func leasesOf(service string, instances map[string]mirroredInstance, ids []string) []leased {
	var all []leased
	for _, id := range ids {
		if lease := instances[id].lease; lease != 0 {
			all = append(all, leased{service, id, lease})
		}
	}
	return all
}

// quoted is a text as JSON, which any can be.
func quoted(text string) []byte {
	encoded, _ := json.Marshal(text)
	return encoded
}
