// Package environ is a process environment as a value: variables by name, in the order in which they came.
package environ

import (
	"maps"
	"slices"
	"strings"
)

// Environ is a process environment that keeps the order in which its names first came. Values are kept as the
// entries that execve(2) takes, which it is asked for far more often than for a value.
type Environ struct {
	names   []string // empty where one was unset
	entries map[string]entry
	opaque  []string // entries that are no NAME=VALUE: legal for execve(2), so passed on as they came
}

type entry struct {
	text string // NAME=VALUE
	at   int    // its place in names
}

// New folds a list as os.Environ gives it: of a name that stands twice the last one counts,
// as in dash, bash and os/exec.
func New(list []string) *Environ {
	e := &Environ{names: make([]string, 0, len(list)+8), entries: make(map[string]entry, len(list)+8)}
	for _, text := range list {
		if i := strings.IndexByte(text, '='); i > 0 {
			e.put(text[:i], text)
		} else {
			e.opaque = append(e.opaque, text)
		}
	}
	return e
}

// Has tells whether a name is set, be it empty.
func (e *Environ) Has(name string) bool {
	_, ok := e.entries[name]
	return ok
}

// Value is empty for a name that is not set: Has tells the difference.
func (e *Environ) Value(name string) string {
	if entry, ok := e.entries[name]; ok {
		return entry.text[len(name)+1:]
	}
	return ""
}

// Lookup is Value, and whether the name is set.
func (e *Environ) Lookup(name string) (value string, ok bool) { return e.Value(name), e.Has(name) }

// Set sets a variable; one that is there keeps its place.
func (e *Environ) Set(name, value string) { e.put(name, name+"="+value) }

func (e *Environ) put(name, text string) {
	entry, known := e.entries[name]
	if !known {
		entry.at = len(e.names)
		e.names = append(e.names, name)
	}
	entry.text = text
	e.entries[name] = entry
}

// Unset takes a variable away.
func (e *Environ) Unset(name string) {
	if entry, known := e.entries[name]; known {
		delete(e.entries, name)
		e.names[entry.at] = ""
	}
}

// DropOpaque drops the entries that are no NAME=VALUE.
func (e *Environ) DropOpaque() { e.opaque = nil }

// Each gives the names in their order. The one that it gives may be unset meanwhile.
func (e *Environ) Each(yield func(name string) bool) {
	for _, name := range e.names {
		if name != "" && !yield(name) {
			return
		}
	}
}

// Clone is an environment of its own with the same variables.
func (e *Environ) Clone() *Environ {
	c := &Environ{
		names:   slices.Clone(e.names),
		entries: maps.Clone(e.entries),
		opaque:  e.opaque,
	}
	return c
}

// List is the environment as execve(2) takes it.
func (e *Environ) List() []string { return e.ListWithout("") }

// ListWithout is the environment without a name, followed by extra entries.
func (e *Environ) ListWithout(without string, extra ...string) []string {
	list := make([]string, 0, len(e.names)+len(e.opaque)+len(extra)+1) // room for NOTIFY_SOCKET
	for name := range e.Each {
		if name != without {
			list = append(list, e.entries[name].text)
		}
	}
	list = append(list, e.opaque...)
	return append(list, extra...)
}

// Add sets the variable of a NAME=VALUE entry.
func (e *Environ) Add(text string) {
	name, _, _ := strings.Cut(text, "=")
	e.put(name, text)
}
