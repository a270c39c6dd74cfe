package harness

import (
	"bytes"
	"time"

	"github.com/envharness/envharness/harness/internal/terminal"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// elapsed is the time since the harness began.
func (s *startup) elapsed() time.Duration { return time.Since(s.began) }

func (s *startup) addSpan(span timeline.Span) {
	if span.Phase != "" {
		s.timeline.Spans = append(s.timeline.Spans, span)
	}
}

// writeTimeline shows start-up as bars where the options ask for it. It never fails a start-up.
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
	var picture bytes.Buffer
	err := s.timeline.WriteSVG(&picture)
	if err == nil {
		err = securefile.Write(s.TimelineSVG, picture.Bytes(), 0o644, nil)
	}
	if err != nil {
		s.Log.Warn("the timeline could not be written", "path", s.TimelineSVG, "problem", text.Reason(err))
	}
}
