package harness

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/internal/sdnotify"
)

// probeEvery is how often COMMAND is asked whether it is ready.
const probeEvery = time.Second

// readiness finds out whether COMMAND is ready and healthy: by what it says on its notify socket, and by executables
// that are asked again and again.
type readiness struct {
	*Harness
	base     *startup
	state    *state
	probes   probes // of this COMMAND
	socket   *commandSocket
	notified chan struct{} // COMMAND has said that it is ready
}

// probes is what is found out about one COMMAND.
type probes struct {
	ready   chan struct{}
	healthy chan bool
	over    chan struct{} // closed when it ends
}

func newReadiness(s *startup, st *state) *readiness {
	return &readiness{Harness: s.Harness, base: s, state: st, probes: newProbes(), notified: make(chan struct{}, 1)}
}

func newProbes() probes {
	return probes{ready: make(chan struct{}), healthy: make(chan bool), over: make(chan struct{})}
}

// end ends the probes of a COMMAND that ends. What one of them still finds out is not about the next one,
// and reaches nobody.
func (r *readiness) end() {
	close(r.probes.over)
	r.probes = newProbes()
}

// probe watches the COMMAND that has been started until it ends: first until it is ready, then whether it stays
// healthy.
func (r *readiness) probe() {
	p := r.probes
	go func() {
		if r.awaitReady(p) {
			r.watchHealth(p)
		}
	}()
}

// awaitReady asks until COMMAND is ready, and tells whether it is still there.
func (r *readiness) awaitReady(p probes) bool {
	path := r.Init.Ready
	if path == "" || path == ReadyNotify {
		return true
	}
	for !r.passes(path) {
		if !p.sleep(probeEvery) {
			return false
		}
	}
	select {
	case p.ready <- struct{}{}:
		return true
	case <-p.over:
		return false
	}
}

func (r *readiness) watchHealth(p probes) {
	if r.Init.Health == "" {
		return
	}
	failed := 0
	for p.sleep(r.Init.HealthInterval) {
		if r.passes(r.Init.Health) {
			failed = 0
			p.report(true)
		} else if failed++; failed == r.Init.HealthFailures {
			p.report(false)
		}
	}
}

// passes runs a probe, with COMMAND's variables and within the time of any executable.
func (r *readiness) passes(path string) bool {
	env := r.state.environment()
	out, err := r.base.again(env).execute(entry{name: path, path: path, at: path}, env, false)
	if out.Held != nil {
		out.Held.Discard()
	}
	if err != nil {
		r.Log.Debug("a probe failed", "problem", err.Error())
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

func (p probes) report(healthy bool) {
	select {
	case p.healthy <- healthy:
	case <-p.over:
	}
}

// commandSocket is where COMMAND says that it is ready, with Ready notify. What it says is passed on to whoever waits
// for the harness itself to be ready (systemd, an outer harness).
type commandSocket struct {
	*sdnotify.Socket
	upstream string     // the address that it is passed on to
	mu       sync.Mutex // held by whoever takes what it said
}

// listen makes COMMAND's notify socket, if it is to have one.
func (r *readiness) listen() {
	if r.Init.Ready != ReadyNotify {
		return
	}
	r.socket = &commandSocket{Socket: sdnotify.Listen(), upstream: environ.New(r.Environ).Value(sdnotify.Variable)}
	if r.socket.FD() < 0 {
		r.Log.Warn("no notify socket could be opened, so the command cannot say that it is ready")
		return
	}
	if r.base.user != nil {
		r.socket.Also = int(r.base.user.UID)
	}
	go func() {
		fds := []unix.PollFd{{Fd: int32(r.socket.FD()), Events: unix.POLLIN}}
		for {
			unix.Poll(fds, -1)
			r.receive()
		}
	}()
}

// receive takes what COMMAND has said, and passes it on.
func (r *readiness) receive() {
	r.socket.mu.Lock()
	defer r.socket.mu.Unlock()
	for message, ok := r.socket.Receive(); ok; message, ok = r.socket.Receive() {
		sdnotify.Send(r.socket.upstream, message)
		if sdnotify.SaysReady(message) {
			notice(r.notified)
		}
	}
}

// discard takes what a COMMAND that has exited has said last, so that it is not taken for the next one's.
func (r *readiness) discard() {
	if r.socket == nil {
		return
	}
	r.receive()
	select {
	case <-r.notified:
	default:
	}
}

// environ is the entry that names the socket.
func (r *readiness) environ() []string {
	if r.socket == nil {
		return nil
	}
	return r.socket.Environ()
}
