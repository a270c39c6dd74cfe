package harness

import (
	"errors"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/timeline"
)

const (
	bootstrap = "bootstrap" // the entry of /export that runs first
	teardown  = "teardown"  // the one that withdraws, run by Init alone
)

// export is the /export phase: the service announces itself. In each directory bootstrap runs first, then
// the others in byte order of names.
func (s *startup) export() {
	var dirs [][]entry
	masked := map[string]int{} // name to the last directory that masks it
	for i, dir := range s.Export {
		l, err := readDirectory(dir, entryRules, s.Log)
		if err != nil {
			s.record(err)
		}
		for _, name := range l.masked {
			masked[name] = i
		}
		dirs = append(dirs, l.entries)
	}
	for i, entries := range dirs {
		if !s.exportDirectory(entries, func(name string) bool { last, ok := masked[name]; return ok && last > i }) {
			return
		}
	}
}

// exportDirectory runs one directory's entries and tells whether the phase goes on.
func (s *startup) exportDirectory(entries []entry, masked func(string) bool) bool {
	for _, e := range bootstrapFirst(entries) {
		switch {
		case !s.mayContinue():
			return false
		case masked(e.name):
			s.Log.Debug("masked by a later directory", "path", e.path)
		case e.name == teardown && s.Init.Enabled: // it is for withdrawing
		case e.name == teardown:
			s.Log.Warn("not run: only --init withdraws a service", "path", e.path)
		case !s.exportEntry(e) && e.name == bootstrap:
			return false
		}
	}
	return true
}

func bootstrapFirst(entries []entry) []entry {
	ordered := make([]entry, 0, len(entries))
	for _, e := range entries {
		if e.name == bootstrap {
			ordered = append(ordered, e)
		}
	}
	for _, e := range entries {
		if e.name != bootstrap {
			ordered = append(ordered, e)
		}
	}
	return ordered
}

// exportEntry runs one declaration and tells whether it succeeded.
func (s *startup) exportEntry(e entry) bool {
	span := timeline.Span{Phase: "export", Name: e.name, Path: e.path, Start: s.elapsed(), Tries: 1}
	out, err := s.runExport(e)
	span.End = s.elapsed()
	if out.Held != nil {
		span.Held = true
		s.holdExport(e, out.Held)
	}
	span.Outcome = outcomeOf(err)
	s.addSpan(span)
	if err != nil && !errors.Is(err, child.ErrStopped) {
		s.record(err)
	}
	return err == nil
}

func (s *startup) runExport(e entry) (child.Outcome, error) {
	executable, err := s.isExecutable(e)
	if err != nil {
		return child.Outcome{}, err
	}
	if !executable {
		return child.Outcome{}, notAnExport(e)
	}
	return s.execute(e, s.env, true)
}

func notAnExport(e entry) error {
	failed := notExecutable(e).(*Error)
	failed.Problem = "is not executable, and nothing else belongs into an export directory"
	return failed
}
