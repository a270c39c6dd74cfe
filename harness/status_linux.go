package harness

import (
	"slices"
	"strings"
)

func (v *supervisor) setReady(ready bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isReady = ready
}

func (v *supervisor) setWell(well bool) {
	if v.isWell != well {
		v.Log.Warn("the command's health has changed", "well", well)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isWell = well
}

// status is what the harness says of itself.
func (v *supervisor) status() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := Status{Phase: PhaseRunning, Ready: v.isReady, Healthy: v.isWell, Names: []NameStatus{}, Exporters: []ExporterStatus{}}
	switch {
	case v.stopping || v.over:
		s.Phase = PhaseStopping
	case !v.started:
		s.Phase = PhaseStarting
	case v.drained:
		s.Phase = PhaseDrained
	}
	if v.child != nil && !v.over {
		s.PID = v.child.PID()
	}
	if v.announcer != nil {
		s.Announced, _, _ = v.announcer.state()
		s.Exporters = v.announcer.exporters()
	}
	for name, at := range v.stamps {
		s.Names = append(s.Names, NameStatus{Name: name, Refreshed: at})
	}
	slices.SortFunc(s.Names, func(a, b NameStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}
