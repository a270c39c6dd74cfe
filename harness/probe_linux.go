package harness

import "time"

// probeEvery is how often COMMAND is asked whether it is ready.
const probeEvery = time.Second

// probe watches one COMMAND until stop is closed: first until it is ready, then whether it stays well. What
// it finds goes to ready and healthy.
func (v *supervisor) probe(stop <-chan struct{}, ready chan<- bool, healthy chan<- bool) {
	if path := v.Init.Ready; path != "" && path != ReadyNotify {
		for !v.passes(path) {
			if !sleep(stop, probeEvery) {
				return
			}
		}
		if !send(stop, ready, true) {
			return
		}
	}
	if v.Init.Health == "" {
		return
	}
	failed := 0
	for sleep(stop, v.Init.HealthInterval) {
		if v.passes(v.Init.Health) {
			failed = 0
			send(stop, healthy, true)
		} else if failed++; failed == v.Init.HealthFailures {
			send(stop, healthy, false)
		}
	}
}

// passes runs a probe, with COMMAND's variables and within the time of any executable.
func (v *supervisor) passes(path string) bool {
	env := v.environment()
	out, err := v.base.again(env).execute(path, env, false)
	if out.held != nil {
		out.held.end(killAfter)
		out.held.follow(func([]byte) {})
	}
	if err != nil {
		v.Log.Debug("a probe failed", "problem", err.Error())
	}
	return err == nil
}

func sleep(stop <-chan struct{}, d time.Duration) bool {
	select {
	case <-stop:
		return false
	case <-time.After(d):
		return true
	}
}

func send(stop <-chan struct{}, to chan<- bool, value bool) bool {
	select {
	case <-stop:
		return false
	case to <- value:
		return true
	}
}
