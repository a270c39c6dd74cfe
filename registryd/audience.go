package registryd

// audience is who reads the same.
type audience struct {
	readers int
	changed chan struct{} // closed at the next change
}

func newAudience() *audience { return &audience{changed: make(chan struct{})} }

func (a *audience) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// attend adds a reader of one service, until leave.
func (m *mirror) attend(service string) (readers *audience, leave func()) {
	m.lock.Lock()
	defer m.lock.Unlock()
	readers = m.byService[service]
	if readers == nil {
		readers = newAudience()
		m.byService[service] = readers
	}
	readers.readers++
	return readers, func() {
		m.lock.Lock()
		defer m.lock.Unlock()
		if readers.readers--; readers.readers == 0 {
			delete(m.byService, service)
		}
	}
}

// wakeAll wakes all readers.
func (m *mirror) wakeAll() {
	m.everything.wake()
	for _, readers := range m.byService {
		readers.wake()
	}
}
