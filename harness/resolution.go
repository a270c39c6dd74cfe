package harness

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"time"

	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/terminal"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/envfmt"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
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
	inherited := environ.New(s.Environ)
	var r Resolution
	for name := range s.commandEnviron().Each {
		v, resolved := s.resolved[name]
		if !resolved {
			v = Variable{Name: name, Value: s.env.Value(name), Source: s.sourceOf(name)}
		}
		r.All = append(r.All, v)
		if _, fromFile := s.envFile[name]; !resolved && !fromFile {
			continue
		}
		r.Decided = append(r.Decided, v)
		if !inherited.Has(name) || inherited.Value(name) != v.Value {
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
		sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	}
	return r
}

func (s *startup) sourceOf(name string) string {
	if file, fromFile := s.envFile[name]; fromFile {
		return "env-file " + file
	}
	return "inherited"
}

// Variable is one resolved name, as print and --write show it.
type Variable = envfmt.Variable

// Format names a way to write variables down, each with the reader that it is written for.
type Format = envfmt.Format

// FormatSh is export and unset, for dash and bash: what print writes unless it is told otherwise.
const FormatSh = envfmt.Sh

// ParseFormat returns the format of that name; the error of another name lists the known ones.
func ParseFormat(name string) (Format, error) { return envfmt.Parse(name) }

// WriteVariables writes vars to w in format f. The format's own reader gets every value back byte for byte. When
// there is a variable that the format cannot carry, nothing is written, and the error names each of them.
func WriteVariables(w io.Writer, f Format, vars []Variable, mask bool) error {
	return envfmt.Write(w, f, vars, mask)
}

// elapsed is the time since the harness began.
func (s *startup) elapsed() time.Duration { return time.Since(s.began) }

func (s *startup) addSpan(span timeline.Span) {
	if span.Phase != "" {
		s.timeline.Spans = append(s.timeline.Spans, span)
	}
}

// writeTimeline shows start-up as bars where the options ask for it. It fails no start-up, but for one that would
// execute COMMAND with a thread that is stuck.
func (s *startup) writeTimeline(command string) {
	if s.plotted || !s.Timeline && s.TimelineSVG == "" {
		return
	}
	s.plotted = true
	s.timeline.Total, s.timeline.Command = s.elapsed(), command
	if s.Timeline {
		s.timeline.WriteText(s.Stderr, terminal.Width(s.Stderr))
	}
	if s.TimelineSVG == "" {
		return
	}
	if err := s.plot(); err != nil {
		s.Log.Warn("the timeline could not be written", "path", s.TimelineSVG, "problem", text.Reason(err))
	}
}

// plot writes the picture. A start-up that was stopped already has a limit of its own, see endStuck.
func (s *startup) plot() error {
	var picture bytes.Buffer
	if err := s.timeline.WriteSVG(&picture); err != nil {
		return err
	}
	write := func() (struct{}, error) {
		return struct{}{}, securefile.Write(s.TimelineSVG, picture.Bytes(), 0o644, nil)
	}
	if s.children.StoppedBy() != 0 {
		_, err := write()
		return err
	}
	_, err := patiently(s, s.TimelineSVG, write)
	if late := new(Error); errors.As(err, &late) {
		s.stuck = err
	}
	return err
}
