package harness

import (
	"slices"
	"strings"
)

// environ is a process environment that keeps the order in which its names first came.
type environ struct {
	names  []string
	values map[string]string
	opaque []string // entries that are no NAME=VALUE: legal for execve(2), so passed on as they came
}

// newEnviron folds a list as os.Environ gives it: of a name that stands twice the last one counts,
// as in dash, bash and os/exec.
func newEnviron(list []string) *environ {
	e := &environ{names: make([]string, 0, len(list)+8), values: make(map[string]string, len(list)+8)}
	for _, entry := range list {
		if i := strings.IndexByte(entry, '='); i > 0 {
			e.set(entry[:i], entry[i+1:])
		} else {
			e.opaque = append(e.opaque, entry)
		}
	}
	return e
}

func (e *environ) has(name string) bool {
	_, ok := e.values[name]
	return ok
}

func (e *environ) set(name, value string) {
	if !e.has(name) {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environ) unset(name string) {
	if e.has(name) {
		delete(e.values, name)
		e.names = slices.DeleteFunc(e.names, func(n string) bool { return n == name })
	}
}

func (e *environ) clone() *environ {
	c := &environ{
		names:  slices.Clone(e.names),
		values: make(map[string]string, len(e.values)),
		opaque: e.opaque,
	}
	for name, value := range e.values {
		c.values[name] = value
	}
	return c
}

// list is the environment as execve(2) takes it, followed by extra entries.
func (e *environ) list(extra ...string) []string {
	list := make([]string, 0, len(e.names)+len(e.opaque)+len(extra))
	for _, name := range e.names {
		list = append(list, name+"="+e.values[name])
	}
	list = append(list, e.opaque...)
	return append(list, extra...)
}

// isName tells whether name is one that a shell can use: [A-Za-z_][A-Za-z0-9_]*.
func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '_', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}
