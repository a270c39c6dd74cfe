package discovery

import (
	"hash/maphash"
	"sync/atomic"
)

// RecordReader reads native records. The instances of a service are mostly alike, so those that one reader has read
// share the maps and slices that are equal: they are for reading, and who wants to change one takes its
// [Instance.Clone]. Many goroutines may use it at once.
type RecordReader struct {
	ports    *shared[map[string]Port]
	metadata *shared[map[string]string]
	tags     *shared[[]string]
}

// NewRecordReader gives a reader that has read nothing yet. The zero RecordReader shares nothing.
func NewRecordReader() RecordReader {
	return RecordReader{new(shared[map[string]Port]), new(shared[map[string]string]), new(shared[[]string])}
}

// Read is [Instance.UnmarshalJSON] but for what the instances share, and for the service and the ID, which are given:
// where the record stands says them.
func (r RecordReader) Read(service, id string, data []byte) (in Instance, err error) {
	err = r.ReadInto(&in, service, id, data)
	return in, err
}

// ReadInto is [RecordReader.Read] for where the instance is to be, which is the zero Instance before, and after an error:
// it is large to be copied.
func (r RecordReader) ReadInto(in *Instance, service, id string, data []byte) (err error) {
	if !r.scanInto(in, service, id, data) {
		if *in, err = readRecord(data); err != nil {
			*in = Instance{}
			return err
		}
	}
	in.Service, in.ID = service, id
	return nil
}

// shared remembers some of the values that were made of a text: the newest at each place of a table, and the one that
// was asked for last.
type shared[V any] struct {
	table [sharedPlaces]atomic.Pointer[sharedValue[V]]
	last  atomic.Pointer[sharedValue[V]]
}

const (
	sharedPlaces  = 256
	sharedLongest = 512 // bytes of a text that is remembered
)

type sharedValue[V any] struct {
	text  string
	value V
}

var sharedSeed = maphash.MakeSeed()

// again gives the value of the last text, and its length, if data begin with that: it need not be read again. A text
// is a whole object or list, so that what begins with it has the same value there.
func (s *shared[V]) again(data []byte) (value V, length int) {
	if s == nil {
		return value, 0
	}
	if last := s.last.Load(); last != nil && len(last.text) <= len(data) && string(data[:len(last.text)]) == last.text {
		return last.value, len(last.text)
	}
	return value, 0
}

// get gives the value of a text, which is made when it is not remembered.
func (s *shared[V]) get(text []byte, make func() V) V {
	if s == nil || len(text) > sharedLongest {
		return make()
	}
	place := &s.table[maphash.Bytes(sharedSeed, text)%sharedPlaces]
	known := place.Load()
	if known == nil || known.text != string(text) {
		known = &sharedValue[V]{string(text), make()}
		place.Store(known)
	}
	s.last.Store(known)
	return known.value
}

// scanner reads a record as MarshalJSON writes it: without space between its parts, without escapes, without unknown
// fields. Anything else makes it odd: then the record is for readRecord, which knows all of JSON.
type scanner struct {
	RecordReader
	data []byte
	at   int
	odd  bool
}

// scan reads a record, whose service and ID are likely the ones given. It is not usual when that is left to readRecord.
func (r RecordReader) scan(service, id string, data []byte) (in Instance, usual bool) {
	usual = r.scanInto(&in, service, id, data)
	return in, usual
}

// scanInto is scan for where the instance is to be, which is the zero Instance before.
func (r RecordReader) scanInto(in *Instance, service, id string, data []byte) (usual bool) {
	s := scanner{RecordReader: r, data: data}
	seen := 0
	s.expect("{")
	for n := 0; s.more(n, "}"); n++ {
		field := s.field(in, service, id)
		s.odd = s.odd || seen&field != 0 // the same field twice
		seen |= field
	}
	if in.State == "" {
		in.State = Passing
	}
	return !s.odd && s.at == len(data)
}

// field reads a field, and gives its bit.
func (s *scanner) field(in *Instance, service, id string) int {
	switch string(s.name()) {
	case "id":
		in.ID = likely(s.text(), id)
		return 1 << 0
	case "service":
		in.Service = likely(s.text(), service)
		return 1 << 1
	case "host":
		in.Host = string(s.text())
		return 1 << 2
	case "private_host":
		in.PrivateHost = string(s.text())
		return 1 << 3
	case "ports":
		in.Ports = s.readPorts()
		return 1 << 4
	case "private_ports":
		in.PrivatePorts = s.readPorts()
		return 1 << 5
	case "user":
		in.User = string(s.text())
		return 1 << 6
	case "password":
		in.Password = Secret(s.text())
		return 1 << 7
	case "tags":
		in.Tags = s.readTags()
		return 1 << 8
	case "metadata":
		in.Metadata = s.readMetadata()
		return 1 << 9
	case "shard":
		in.Shard = string(s.text())
		return 1 << 10
	case "state":
		in.State = State(likely(s.text(), string(Passing)))
		return 1 << 11
	case "critical":
		in.Critical = s.bool()
		return 1 << 12
	case "public":
		in.Public = s.bool()
		return 1 << 13
	case "reason":
		in.Reason = string(s.text())
		return 1 << 14
	}
	s.odd = true
	return 0
}

// likely is a text as a string, which is not made where it is the likely one.
func likely(text []byte, is string) string {
	if string(text) == is {
		return is
	}
	return string(text)
}

// more steps to part n of what ends with end, if there is one more.
func (s *scanner) more(n int, end string) bool {
	if s.odd || s.skip(end) {
		return false
	}
	if n > 0 {
		s.expect(",")
	}
	return !s.odd
}

// skip steps over a text, if it is next.
func (s *scanner) skip(text string) bool {
	if end := s.at + len(text); end <= len(s.data) && string(s.data[s.at:end]) == text {
		s.at = end
		return true
	}
	return false
}

func (s *scanner) expect(text string) { s.odd = !s.skip(text) || s.odd }

// name reads the name of a field.
func (s *scanner) name() []byte {
	name := s.text()
	s.expect(":")
	return name
}

// text reads a text that stands for itself: see isPlain.
func (s *scanner) text() []byte {
	s.expect(`"`)
	begin := s.at
	for ; !s.odd && s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[begin : s.at-1]
		case c == '\\' || c >= 0x80 || c < ' ':
			s.odd = true
		}
	}
	s.odd = true
	return nil
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
	for ; s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' && s.at-begin < 9; s.at++ {
		number = 10*number + int(s.data[s.at]-'0')
	}
	digits := s.at - begin
	s.odd = s.odd || digits == 0 || digits > 1 && s.data[begin] == '0'
	return number
}

// named is a field of an object that becomes a map.
type named[V any] struct {
	name  []byte
	value V
}

func (s *scanner) readPorts() map[string]Port {
	if known, length := s.ports.again(s.data[s.at:]); length > 0 {
		s.at += length
		return known
	}
	var few [4]named[Port]
	fields, begin := few[:0], s.at
	s.expect("{")
	for s.more(len(fields), "}") {
		fields = append(fields, named[Port]{s.name(), s.port()})
	}
	if s.odd || len(fields) == 0 {
		return nil
	}
	return s.ports.get(s.data[begin:s.at], func() map[string]Port {
		all := make(map[string]Port, len(fields))
		for _, field := range fields {
			all[string(field.name)] = field.value
		}
		return all
	})
}

func (s *scanner) port() Port {
	port := Port{Protocol: "tcp"}
	s.expect(`{"number":`)
	port.Number = s.number()
	if s.skip(`,"protocol":`) {
		port.Protocol = likely(s.text(), "tcp")
		s.odd = s.odd || port.Protocol == ""
	}
	s.expect("}")
	return port
}

func (s *scanner) readMetadata() map[string]string {
	if known, length := s.metadata.again(s.data[s.at:]); length > 0 {
		s.at += length
		return known
	}
	var few [8]named[[]byte]
	fields, begin := few[:0], s.at
	s.expect("{")
	for s.more(len(fields), "}") {
		fields = append(fields, named[[]byte]{s.name(), s.text()})
	}
	if s.odd || len(fields) == 0 {
		return nil
	}
	return s.metadata.get(s.data[begin:s.at], func() map[string]string {
		all := make(map[string]string, len(fields))
		for _, field := range fields {
			all[string(field.name)] = string(field.value)
		}
		return all
	})
}

func (s *scanner) readTags() []string {
	if known, length := s.tags.again(s.data[s.at:]); length > 0 {
		s.at += length
		return known
	}
	var few [8][]byte
	tags, begin := few[:0], s.at
	s.expect("[")
	for s.more(len(tags), "]") {
		tags = append(tags, s.text())
	}
	if s.odd || len(tags) == 0 {
		return nil
	}
	return s.tags.get(s.data[begin:s.at], func() []string {
		all := make([]string, len(tags))
		for i, tag := range tags {
			all[i] = string(tag)
		}
		return all
	})
}
