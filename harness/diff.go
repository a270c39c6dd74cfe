package harness

import (
	"log/slog"
)

// Difference is a name that one of two environments has and the other lacks.
type Difference struct {
	Name    string `json:"name"`
	In      string `json:"in"`      // the directory that has it
	Lacking string `json:"lacking"` // the one that does not
}

// Diff compares the names of two environment directories, in byte order of names. It runs nothing and
// compares no values: those are meant to differ.
func Diff(a, b string) ([]Difference, error) {
	first, err := namesOf(a)
	if err != nil {
		return nil, err
	}
	second, err := namesOf(b)
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

func namesOf(dir string) ([]string, error) {
	if err := mustExist(dir); err != nil {
		return nil, err
	}
	l, err := readDirectory(dir, slog.New(slog.DiscardHandler))
	var names []string
	for _, e := range l.entries {
		names = append(names, e.name)
	}
	return names, err
}
