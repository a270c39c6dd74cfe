package harness

import (
	"slices"
	"strings"
)

// Resolution is what a start-up resolved, in byte order of names.
type Resolution struct {
	// Decided is what /environment and the env-files say. A name that they take out is Unset.
	Decided []Variable
	// Changed is that part of it that differs from the inherited environment.
	Changed []Variable
	// All is what COMMAND would get, and the names that were taken out.
	All []Variable
}

func (s *startup) resolution() Resolution {
	inherited := newEnviron(s.Environ)
	var r Resolution
	for _, name := range s.commandEnviron().names {
		v, resolved := s.resolved[name]
		if !resolved {
			v = Variable{Name: name, Value: s.env.value(name), Source: s.sourceOf(name)}
		}
		r.All = append(r.All, v)
		if _, fromFile := s.envFile[name]; !resolved && !fromFile {
			continue
		}
		r.Decided = append(r.Decided, v)
		if !inherited.has(name) || inherited.value(name) != v.Value {
			r.Changed = append(r.Changed, v)
		}
	}
	for _, v := range s.resolved {
		if v.Unset {
			r.All = append(r.All, v)
			r.Decided = append(r.Decided, v)
			r.Changed = append(r.Changed, v)
		}
	}
	for _, list := range [][]Variable{r.Decided, r.Changed, r.All} {
		slices.SortFunc(list, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	}
	return r
}

func (s *startup) sourceOf(name string) string {
	if file, fromFile := s.envFile[name]; fromFile {
		return "env-file " + file
	}
	return "inherited"
}
