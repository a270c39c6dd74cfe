// Package layout is how instances and values are written as keys and values, for engines that are stores
// of keys. A layout does no input or output.
package layout

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// ErrForeign is Decode's answer for a key that stands among the records and is none, by rights: a
// directory, a mark. It is skipped without a warning.
var ErrForeign = errors.New("no record of an instance")

// ErrDeeper is ValueName's answer for a key with more segments than a value's has.
var ErrDeeper = errors.New("it stands deeper than a value")

// Record is one key and its value.
type Record struct {
	Key   string
	Value []byte
}

// Layout writes and reads records. Keys begin with a slash. Errors match discovery.ErrInvalid.
type Layout interface {
	// Identify makes the ID of an instance that is to be registered, if it has none (or if the layout
	// gives a new one at each Register), and completes fields that the layout derives from others.
	Identify(in discovery.Instance) (discovery.Instance, error)

	// Encode gives the records that announce an identified instance. The first is the instance's own: who
	// holds it, has the ID. A layout that cannot write states gives none for an instance that does not
	// pass: its readers would take it for one that does.
	Encode(in discovery.Instance) ([]Record, error)

	// ServicePrefix is what the keys of all records of a service begin with; it ends with a slash.
	ServicePrefix(service string) (string, error)

	// ServicesPrefix is what the keys of all records of all services begin with; it ends with a slash.
	ServicesPrefix() string

	// Decode reads one record under ServicesPrefix. What the key says goes before what the value says. An
	// error is for a warning and holds no part of the value; ErrForeign is for none.
	Decode(key string, value []byte) (discovery.Instance, error)

	// What is beside instances has the same keys in all layouts: see Keys.
	ValueKey(name string) (string, error)
	ValuesPrefix() string
	ValueName(key string) (string, error) // of another's key the name comes with the error, if it is a name at all
	CredentialsKey(service string) (string, error)
	ElectionKey(name string) (string, error)
	LockKey(name string) (string, error)
}

// New gives the layout of that name over a prefix, which may be empty for the layout's default. Some
// layouts name instances after this machine, which is called hostname.
func New(name, prefix, hostname string) (Layout, error) {
	switch name {
	case "native", "":
		return Native(prefix), nil
	case "scalingo":
		return NewScalingo(prefix, hostname), nil
	case "plain":
		return NewPlain(prefix), nil
	case "totem":
		return NewTotem(prefix, hostname), nil
	case "containerpilot":
		return NewContainerPilot(prefix, hostname), nil
	case "lighthouse":
		return NewLighthouse(prefix, hostname), nil
	case "skydns":
		return NewSkyDNS(prefix, hostname)
	}
	return nil, discovery.Invalidf("there is no layout %q", name)
}

// NewV2 is New for etcd v2, which hides keys that begin with _.
func NewV2(name, prefix, hostname string) (Layout, error) {
	l, err := New(name, prefix, hostname)
	switch l := l.(type) {
	case native:
		l.hides = true
		return l, err
	case Scalingo:
		l.hides = true
		return l, err
	case Totem:
		l.hides = true
		return l, err
	case ContainerPilot:
		l.hides = true
		return l, err
	}
	return l, err
}

// Decode reads the records of services and skips malformed ones with a warning: one of them never hides
// the others.
func Decode(l Layout, log *slog.Logger, records []Record) []discovery.Instance {
	instances := make([]discovery.Instance, 0, len(records))
	for _, record := range records {
		if in, ok := DecodeOne(l, log, record); ok {
			instances = append(instances, in)
		}
	}
	return instances
}

// DecodeOne is Decode for one record.
func DecodeOne(l Layout, log *slog.Logger, record Record) (in discovery.Instance, ok bool) {
	ok = DecodeInto(&in, l, log, record)
	return in, ok
}

// DecodeInto is DecodeOne for where the instance is to be, which is the zero Instance before: copying each of thousands
// takes a good part of the time.
func DecodeInto(in *discovery.Instance, l Layout, log *slog.Logger, record Record) (ok bool) {
	var err error
	if direct, can := l.(native); can {
		err = direct.decodeInto(in, record.Key, record.Value)
	} else {
		*in, err = l.Decode(record.Key, record.Value)
	}
	if err == nil {
		return true
	}
	if !errors.Is(err, ErrForeign) {
		log.Warn("skipping a malformed record", "key", shortened(record.Key), "error", shortened(err.Error()))
	}
	*in = discovery.Instance{}
	return false
}

// Services gives the names of the services that have records of instances, sorted.
func Services(l Layout, log *slog.Logger, records []Record) []string {
	names := []string{}
	for _, in := range Decode(l, log, records) {
		names = append(names, in.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// cut takes the prefix off a key and splits what is left at its slashes; nil without the prefix.
func cut(key, prefix string) []string {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return nil
	}
	return strings.Split(rest, "/")
}
