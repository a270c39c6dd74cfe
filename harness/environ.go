package harness

import (
	"maps"
	"slices"
	"strings"
)

// environ is a process environment that keeps the order in which its names first came. Values are kept as the
// entries that execve(2) takes, which it is asked for far more often than for a value.
type environ struct {
	names   []string // empty where one was unset
	entries map[string]environEntry
	opaque  []string // entries that are no NAME=VALUE: legal for execve(2), so passed on as they came
}

type environEntry struct {
	text string // NAME=VALUE
	at   int    // its place in names
}

// newEnviron folds a list as os.Environ gives it: of a name that stands twice the last one counts,
// as in dash, bash and os/exec.
func newEnviron(list []string) *environ {
	e := &environ{names: make([]string, 0, len(list)+8), entries: make(map[string]environEntry, len(list)+8)}
	for _, entry := range list {
		if i := strings.IndexByte(entry, '='); i > 0 {
			e.put(entry[:i], entry)
		} else {
			e.opaque = append(e.opaque, entry)
		}
	}
	return e
}

func (e *environ) has(name string) bool {
	_, ok := e.entries[name]
	return ok
}

// value is empty for a name that is not set: has tells the difference.
func (e *environ) value(name string) string {
	if entry, ok := e.entries[name]; ok {
		return entry.text[len(name)+1:]
	}
	return ""
}

// lookup is value, and whether the name is set.
func (e *environ) lookup(name string) (value string, ok bool) { return e.value(name), e.has(name) }

func (e *environ) set(name, value string) { e.put(name, name+"="+value) }

func (e *environ) put(name, text string) {
	entry, known := e.entries[name]
	if !known {
		entry.at = len(e.names)
		e.names = append(e.names, name)
	}
	entry.text = text
	e.entries[name] = entry
}

func (e *environ) unset(name string) {
	if entry, known := e.entries[name]; known {
		delete(e.entries, name)
		e.names[entry.at] = ""
	}
}

// each gives the names in their order. The one that it gives may be unset meanwhile.
func (e *environ) each(yield func(name string) bool) {
	for _, name := range e.names {
		if name != "" && !yield(name) {
			return
		}
	}
}

func (e *environ) clone() *environ {
	c := &environ{
		names:   slices.Clone(e.names),
		entries: maps.Clone(e.entries),
		opaque:  e.opaque,
	}
	return c
}

// list is the environment as execve(2) takes it.
func (e *environ) list() []string { return e.listWithout("") }

// listWithout is the environment without a name, followed by extra entries.
func (e *environ) listWithout(without string, extra ...string) []string {
	list := make([]string, 0, len(e.names)+len(e.opaque)+len(extra)+1) // room for NOTIFY_SOCKET
	for name := range e.each {
		if name != without {
			list = append(list, e.entries[name].text)
		}
	}
	list = append(list, e.opaque...)
	return append(list, extra...)
}

// add sets the variable of a NAME=VALUE entry.
func (e *environ) add(entry string) {
	name, _, _ := strings.Cut(entry, "=")
	e.put(name, entry)
}
