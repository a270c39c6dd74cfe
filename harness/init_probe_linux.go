package harness

import "time"

// probeEvery is how often COMMAND is asked whether it is ready.
const probeEvery = time.Second

// probes is what is found out about one COMMAND.
type probes struct {
	ready chan struct{}
	well  chan bool
	over  chan struct{} // closed when it ends
}

func newProbes() probes {
	return probes{ready: make(chan struct{}), well: make(chan bool), over: make(chan struct{})}
}

// endProbes ends the probes of a COMMAND that ends. What one of them still finds out is not about the next one,
// and reaches nobody.
func (v *supervisor) endProbes() {
	close(v.probes.over)
	v.probes = newProbes()
}

// probe watches one COMMAND until it ends: first until it is ready, then whether it stays well.
func (v *supervisor) probe(p probes) {
	if path := v.Init.Ready; path != "" && path != ReadyNotify {
		for !v.passes(path) {
			if !p.sleep(probeEvery) {
				return
			}
		}
		select {
		case p.ready <- struct{}{}:
		case <-p.over:
			return
		}
	}
	if v.Init.Health == "" {
		return
	}
	failed := 0
	for p.sleep(v.Init.HealthInterval) {
		if v.passes(v.Init.Health) {
			failed = 0
			p.tell(true)
		} else if failed++; failed == v.Init.HealthFailures {
			p.tell(false)
		}
	}
}

// passes runs a probe, with COMMAND's variables and within the time of any executable.
func (v *supervisor) passes(path string) bool {
	env := v.environment()
	out, err := v.base.again(env).execute(path, env, false)
	if out.Held != nil {
		out.Held.Discard()
	}
	if err != nil {
		v.Log.Debug("a probe failed", "problem", err.Error())
	}
	return err == nil
}

// sleep waits, and tells whether COMMAND is still there.
func (p probes) sleep(d time.Duration) bool {
	select {
	case <-p.over:
		return false
	case <-time.After(d):
		return true
	}
}

func (p probes) tell(well bool) {
	select {
	case p.well <- well:
	case <-p.over:
	}
}
