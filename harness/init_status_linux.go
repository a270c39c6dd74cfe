package harness

import (
	"slices"
	"strings"

	"github.com/envharness/envharness/harness/internal/control"
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
func (v *supervisor) status() control.Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := control.Status{Phase: control.Running, Ready: v.isReady, Healthy: v.isWell, Names: []control.NameStatus{}, Exporters: []control.ExporterStatus{}}
	switch {
	case v.stopping || v.over:
		s.Phase = control.Stopping
	case !v.started:
		s.Phase = control.Starting
	case v.drained:
		s.Phase = control.Drained
	}
	if v.child != nil && !v.over {
		s.PID = v.child.PID()
	}
	if v.announcer != nil {
		s.Announced, _, _ = v.announcer.state()
		s.Exporters = v.announcer.exporters()
	}
	for name, at := range v.stamps {
		s.Names = append(s.Names, control.NameStatus{Name: name, Refreshed: at})
	}
	slices.SortFunc(s.Names, func(a, b control.NameStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}
