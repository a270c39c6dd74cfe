package harness

import (
	"maps"
	"slices"
)

// Difference is a name that one of two environments has and the other lacks.
type Difference struct {
	Name    string `json:"name"`
	In      string `json:"in"`      // the directory that has it
	Lacking string `json:"lacking"` // the one that does not
}

// Diff compares the names of two environment directories, in byte order of names. It runs nothing and
// compares no values: those are meant to differ. Of a set that is executable the file's name counts, of another the
// names in it.
func Diff(o Options, a, b string) ([]Difference, error) {
	first, err := namesOf(o, a)
	if err != nil {
		return nil, err
	}
	second, err := namesOf(o, b)
	if err != nil {
		return nil, err
	}
	var differences []Difference
	for len(first) > 0 || len(second) > 0 {
		switch {
		case len(second) == 0 || len(first) > 0 && first[0] < second[0]:
			differences = append(differences, Difference{Name: first[0], In: a, Lacking: b})
			first = first[1:]
		case len(first) == 0 || second[0] < first[0]:
			differences = append(differences, Difference{Name: second[0], In: b, Lacking: a})
			second = second[1:]
		default:
			first, second = first[1:], second[1:]
		}
	}
	return differences, nil
}

func namesOf(o Options, dir string) ([]string, error) {
	if err := mustExist(dir); err != nil {
		return nil, err
	}
	s := atRest(o)
	l, err := s.readEnvironment(dir)
	names := map[string]bool{}
	for _, e := range l.entries {
		if !e.isSet() || e.executable {
			names[e.name] = true
			continue
		}
		var v evaluation
		if s.find(e, s.env, &v); v.err != nil {
			return nil, v.err
		}
		for name := range v.names {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), err
}
