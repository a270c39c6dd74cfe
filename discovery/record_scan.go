package discovery

import (
	"hash/maphash"
	"sync/atomic"
)

// RecordReader reads native records. The instances of a service are mostly alike, so those that one reader has read
// share the maps and slices that are equal: they are for reading, and who wants to change one takes its
// [Instance.Clone]. The zero value is ready, and many goroutines may use it at once.
type RecordReader struct {
	ports    shared[map[string]Port]
	metadata shared[map[string]string]
	tags     shared[[]string]
}

// Read is [Instance.UnmarshalJSON] but for what the instances share.
func (r *RecordReader) Read(data []byte) (in Instance, err error) {
	if in, usual := scanRecord(string(data), r); usual {
		return in, nil
	}
	err = in.readRecord(data)
	return in, err
}

// shared remembers some of the values that were made of a text, the newest at each place of a table.
type shared[V any] struct {
	table [sharedPlaces]atomic.Pointer[sharedValue[V]]
}

const (
	sharedPlaces  = 256
	sharedLongest = 4096 // bytes of a record that may be remembered: what is remembered keeps all of it in memory
)

type sharedValue[V any] struct {
	text  string
	value V
}

var sharedSeed = maphash.MakeSeed()

// get gives the value of a text, which is made when it is not remembered.
func (s *shared[V]) get(text string, make func() V) V {
	place := &s.table[maphash.String(sharedSeed, text)%sharedPlaces]
	if known := place.Load(); known != nil && known.text == text {
		return known.value
	}
	made := make()
	place.Store(&sharedValue[V]{text, made})
	return made
}

// scanner reads a record as MarshalJSON writes it: without space between its parts, without escapes, without unknown
// fields. Anything else makes it odd: then the record is for readRecord, which knows all of JSON.
type scanner struct {
	text   string
	at     int
	odd    bool
	shared *RecordReader // nil: nothing is shared
}

// scanRecord reads a record; its texts are parts of text. It is not usual when that has to be done by readRecord.
func scanRecord(text string, with *RecordReader) (in Instance, usual bool) {
	s := scanner{text: text, shared: with}
	if len(text) > sharedLongest {
		s.shared = nil
	}
	in.State = Passing
	seen := 0
	s.fields(func(name string) {
		field := s.field(&in, name)
		s.odd = s.odd || seen&field != 0 // the same field twice
		seen |= field
	})
	if in.State == "" {
		in.State = Passing
	}
	return in, !s.odd && s.at == len(text)
}

// field reads the value of a field, and gives the field's bit.
func (s *scanner) field(in *Instance, name string) int {
	switch name {
	case "id":
		in.ID = s.string()
		return 1 << 0
	case "service":
		in.Service = s.string()
		return 1 << 1
	case "host":
		in.Host = s.string()
		return 1 << 2
	case "private_host":
		in.PrivateHost = s.string()
		return 1 << 3
	case "ports":
		in.Ports = s.ports()
		return 1 << 4
	case "private_ports":
		in.PrivatePorts = s.ports()
		return 1 << 5
	case "user":
		in.User = s.string()
		return 1 << 6
	case "password":
		in.Password = Secret(s.string())
		return 1 << 7
	case "tags":
		in.Tags = s.tags()
		return 1 << 8
	case "metadata":
		in.Metadata = s.metadata()
		return 1 << 9
	case "shard":
		in.Shard = s.string()
		return 1 << 10
	case "state":
		in.State = State(s.string())
		return 1 << 11
	case "critical":
		in.Critical = s.bool()
		return 1 << 12
	case "public":
		in.Public = s.bool()
		return 1 << 13
	}
	s.odd = true
	return 0
}

// fields reads an object and calls read for each of its fields, whose value is next.
func (s *scanner) fields(read func(name string)) {
	s.expect("{")
	for n := 0; !s.odd && !s.skip("}"); n++ {
		if n > 0 {
			s.expect(",")
		}
		name := s.string()
		s.expect(":")
		if !s.odd {
			read(name)
		}
	}
}

// skip steps over a text, if it is next.
func (s *scanner) skip(text string) bool {
	if end := s.at + len(text); end <= len(s.text) && s.text[s.at:end] == text {
		s.at = end
		return true
	}
	return false
}

func (s *scanner) expect(text string) { s.odd = !s.skip(text) || s.odd }

// string reads a text that stands for itself: see isPlain.
func (s *scanner) string() string {
	s.expect(`"`)
	begin := s.at
	for ; !s.odd && s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[begin : s.at-1]
		case c == '\\' || c >= 0x80 || c < ' ':
			s.odd = true
		}
	}
	s.odd = true
	return ""
}

func (s *scanner) bool() bool {
	if s.skip("true") {
		return true
	}
	s.expect("false")
	return false
}

// number reads a whole number that is not negative.
func (s *scanner) number() (number int) {
	begin := s.at
	for ; s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' && s.at-begin < 9; s.at++ {
		number = 10*number + int(s.text[s.at]-'0')
	}
	digits := s.at - begin
	s.odd = s.odd || digits == 0 || digits > 1 && s.text[begin] == '0'
	return number
}

// named is a field of an object that becomes a map.
type named[V any] struct {
	name  string
	value V
}

func mapOf[V any](fields []named[V]) map[string]V {
	if len(fields) == 0 {
		return nil
	}
	all := make(map[string]V, len(fields))
	for _, field := range fields {
		all[field.name] = field.value
	}
	return all
}

func (s *scanner) ports() map[string]Port {
	var few [4]named[Port]
	fields, begin := few[:0], s.at
	s.fields(func(name string) { fields = append(fields, named[Port]{name, s.port()}) })
	if s.odd || s.shared == nil || len(fields) == 0 {
		return mapOf(fields)
	}
	return s.shared.ports.get(s.text[begin:s.at], func() map[string]Port { return mapOf(fields) })
}

func (s *scanner) port() Port {
	port := Port{Protocol: "tcp"}
	s.expect(`{"number":`)
	port.Number = s.number()
	if s.skip(`,"protocol":"tcp"`) {
		// the usual one
	} else if s.skip(`,"protocol":`) {
		port.Protocol = s.string()
		s.odd = s.odd || port.Protocol == ""
	}
	s.expect("}")
	return port
}

func (s *scanner) metadata() map[string]string {
	var few [8]named[string]
	fields, begin := few[:0], s.at
	s.fields(func(name string) { fields = append(fields, named[string]{name, s.string()}) })
	if s.odd || s.shared == nil || len(fields) == 0 {
		return mapOf(fields)
	}
	return s.shared.metadata.get(s.text[begin:s.at], func() map[string]string { return mapOf(fields) })
}

func (s *scanner) tags() []string {
	var few [8]string
	tags, begin := few[:0], s.at
	s.expect("[")
	for !s.odd && !s.skip("]") {
		if len(tags) > 0 {
			s.expect(",")
		}
		tags = append(tags, s.string())
	}
	if s.odd || len(tags) == 0 {
		return nil
	}
	own := func() []string { return append([]string(nil), tags...) }
	if s.shared == nil {
		return own()
	}
	return s.shared.tags.get(s.text[begin:s.at], own)
}
