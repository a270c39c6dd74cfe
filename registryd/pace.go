package registryd

import (
	"maps"
	"slices"
	"time"
)

// gatherTime is the least time between two states of a service that those who watch are told of: the first change is
// told at once, others within it together.
const gatherTime = 50 * time.Millisecond

// rememberedTime is how long a service without instances is remembered, for readers that are behind. One that takes
// nothing for stuckTime is cut off before.
const rememberedTime = 4 * stuckTime

// tellAtPace tells what is due, now and later. The caller holds the lock, here and below.
func (m *mirror) tellAtPace() {
	left := m.tell(time.Now())
	switch {
	case left == 0:
	case m.telling == nil:
		m.telling = time.AfterFunc(left, func() {
			m.lock.Lock()
			defer m.lock.Unlock()
			m.tellAtPace()
		})
	default:
		m.telling.Reset(left)
	}
}

// tell publishes what has not changed a moment ago, and gives the time until more is due; 0: nothing is left.
func (m *mirror) tell(now time.Time) (left time.Duration) {
	var due []string
	for name, service := range m.touched {
		switch rest := gatherTime - now.Sub(service.told); {
		case rest <= 0:
			due = append(due, name)
		case left == 0 || rest < left:
			left = rest
		}
	}
	if len(due) > 0 || m.newValues {
		m.publish(due, now)
	}
	return left
}

// publishAll publishes what has changed, whether it is due or not.
func (m *mirror) publishAll() { m.publish(slices.Collect(maps.Keys(m.touched)), time.Now()) }

// publish numbers what has changed, which some services and the names of values have, and wakes who reads that.
func (m *mirror) publish(services []string, now time.Time) {
	m.change++
	for _, name := range services {
		service := m.touched[name]
		service.publish(name, m.change, m.behind)
		service.told = now
		delete(m.touched, name)
		delete(m.empty, name)
		if len(service.instances) == 0 {
			m.empty[name] = service
		}
		if readers := m.byService[name]; readers != nil {
			readers.wake()
		}
	}
	if m.newValues {
		m.newValues, m.valuesAt = false, m.change
	}
	m.sweep(now)
	m.everything.wake()
}

// sweep forgets services that have had no instances for a while.
func (m *mirror) sweep(now time.Time) {
	if now.Sub(m.swept) < rememberedTime/4 {
		return
	}
	m.swept = now
	for name, service := range m.empty {
		if now.Sub(service.told) > rememberedTime {
			delete(m.services, name)
			delete(m.empty, name)
		}
	}
}
