package child

import (
	"cmp"
	"syscall"
	"time"
)

const (
	// MaxOutput bounds what is kept of one output. It is far above what execve(2) takes for one variable, so that
	// whatever is refused for its size is refused by the rule that names the size, and so small that memory stays
	// flat.
	MaxOutput = 1 << 20
)

// Execution is one try of one executable.
type Execution struct {
	Path      string
	Argv      []string // [Path] when nil
	Env       []string
	Stdin     uintptr
	Stderr    uintptr
	Export    bool      // stdout goes to stderr and the group outlives its leader; else stdout is captured
	Expires   time.Time // when it is timed out; never when zero
	MaxOutput int       // MaxOutput when 0
	Cancel    *Cancel   // ends it earlier; may be nil
	Meanwhile func()    // is called once while it runs; may be nil
}

// Outcome is how a try went. Its status says nothing of a long-running hook: that has not exited.
type Outcome struct {
	Output   []byte
	Status   syscall.WaitStatus
	TimedOut bool
	Awaits   bool           // it timed out stopped, waiting for a terminal that the harness does not have
	Ended    syscall.Signal // it had the terminal, and Ctrl-C or Ctrl-\ there ended it
	Flooded  bool           // it printed more than MaxOutput and was killed
	Held     *Wait          // it said READY=1 and runs on
	Valid    time.Duration  // how long it said that its value is good (VALID_USEC=N), 0 for ever
}

// Run starts one executable and stays with it until it has exited or has said that it is ready (sd_notify(3)),
// and everything that it printed is there. An error means that it could not be started.
//
// It blocks in poll(2) instead of using goroutines and Go's poller: that is most of what makes the harness
// faster than a shell's own loop.
func (ps *Children) Run(x Execution) (Outcome, error) {
	pipe, err := ps.takePipe()
	if err != nil {
		return Outcome{}, err
	}
	stdout := uintptr(pipe.write)
	if x.Export {
		stdout = x.Stderr
	}
	if x.Argv == nil {
		x.Argv = []string{x.Path}
	}
	p := &Process{lenient: x.Export}
	err = ps.start(p, Launch{
		Path:  x.Path,
		Argv:  x.Argv,
		Env:   append(x.Env, pipe.notify.Environ()...),
		Files: []uintptr{x.Stdin, stdout, x.Stderr},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	pipe.closeWrite()
	if x.Export {
		pipe.closeRead()
	}
	if err != nil {
		pipe.close()
		return Outcome{}, err
	}
	x.Cancel.runs(p)
	ps.preparePipe()
	pipe.notify.Accept = p.sent
	if x.Meanwhile != nil {
		x.Meanwhile()
	}
	w := &Wait{process: p, pipe: pipe, pidfd: p.pidfd, expires: x.Expires, limit: cmp.Or(x.MaxOutput, MaxOutput)}
	return w.wait()
}
