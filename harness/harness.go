// Package harness resolves a container's environment and then executes its command in its own place.
//
// The common case is one call, the last thing that main does:
//
//	signals := harness.CatchSignals() // in the first line of main
//	h := harness.New(harness.DefaultOptions(), signals)
//	err := h.Run([]string{"my-server", "--port", "80"})
//
// Run returns only when start-up failed; ExitCode tells the exit code that the contract gives to the error.
//
// # The story of a run
//
// The env-files are read. COMMAND is looked up, so that nothing is announced for a command that cannot start.
// Every executable in /export runs: the service announces itself. Every entry of /environment is resolved:
// its file name is a variable and its output, or the content of a plain file, is the value. What is required
// is checked. Then execve(2) makes this process COMMAND: same process ID, nothing of the harness left.
//
// # Where things are
//
// In the order in which a run enters them: signals.go catches what ends start-up; options.go says how it is to go;
// envfile.go reads the env-files; command.go looks COMMAND up, and executes it at last; directory.go lists what takes
// part and entries.go reads it; executable.go runs one; export.go and environment.go are the two phases, with value.go
// and cache.go behind the second; files.go writes values that are no variables; resolution.go is what came of it all.
// With Init, init_supervisor_linux.go takes over before COMMAND is executed, with the other init_*_linux.go as its
// parts, and internal/phase decides what it does next. stuck.go ends what does not answer. check.go runs nothing.
//
// internal/child owns every process that a run starts, internal/sigaction what the kernel does at a signal, internal/explain says why the kernel refuses a file,
// internal/environ is a process environment, internal/account whom COMMAND runs as, internal/terminal who is in front, internal/control the conversation with
// a running harness; internal/envfile reads, package envfmt and internal/timeline write.
package harness

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/account"
	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/sigaction"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// Harness is one run of the entrypoint. Its fields may be replaced before Run, for tests.
type Harness struct {
	Options
	Environ []string     // the inherited environment
	Stderr  *os.File     // where executables' messages and the timeline go
	Log     *slog.Logger // what is worth knowing and no failure

	signals *Signals
	began   time.Time
}

// New makes a run of the current process: its environment, its stderr.
func New(o Options, signals *Signals) *Harness {
	return &Harness{Options: o, Environ: os.Environ(), Stderr: os.Stderr, Log: slog.Default(), signals: signals, began: time.Now()}
}

// Run resolves the environment and executes command: it does not return when that succeeds.
//
// The error gathers every failure (see Each); ExitCode knows one of a signal. Nothing that Run started is left behind when it returns.
func (h *Harness) Run(command []string) error {
	if h.Init.Enabled && control.Alive(h.Init.Socket) {
		h.Log.Warn("another harness runs in this container: nothing is announced and nothing withdrawn, the command runs as with exec", "socket", h.Init.Socket)
		h.Beside()
	}
	if h.Init.Enabled {
		return h.supervise(command)
	}
	s, err := h.begin()
	if err != nil {
		return err
	}
	err = s.prepare(command)
	if err == nil {
		err = s.exec(command)
	}
	return s.fail(err)
}

// Beside makes a run one beside a harness that has announced the service and withdraws it: neither is done, nothing
// stays when COMMAND runs, and no socket is made.
func (h *Harness) Beside() {
	h.Export = nil
	h.Init = InitOptions{}
}

// Resolve does what Run does up to /environment, without /export and COMMAND: what print shows.
func (h *Harness) Resolve() (Resolution, error) {
	s, err := h.begin()
	if err != nil {
		return Resolution{}, err
	}
	s.resolve()
	s.require()
	s.endHeld()
	if err := s.failed(); err != nil {
		return Resolution{}, s.fail(err)
	}
	s.writeTimeline("")
	return s.resolution(), nil
}

// startup is one start-up under way: what it knows, what it has run, what has failed.
type startup struct {
	*shared
	decisions
	hooks
	replay
	report
	deadline time.Time
	started  *atomic.Bool // COMMAND runs, under Init
	stuck    error        // why a thread waits in the kernel, for a file system that does not answer
}

// decisions are what /environment and the other sources gave.
type decisions struct {
	env      *environ.Environ    // what COMMAND will get, as far as it is known
	resolved map[string]Variable // what /environment decided
	ranks    map[string]int      // of the entry that decided a name
	expanded map[string]bool     // names that ExpandFiles gave
	read     []entry             // what was read instead of run, by path and rank
}

func newDecisions(env *environ.Environ) decisions {
	return decisions{env: env, resolved: map[string]Variable{}, ranks: map[string]int{}, expanded: map[string]bool{}}
}

// hooks are the executables that go on running beside COMMAND.
type hooks struct {
	discoverers []runningHook // under Init
	exporters   []runningHook
	pushed      func(name string) (output []byte) // what a long-running hook has made known since, or nil
	meanwhile   func()                            // to be done while the next executable runs
}

// replay is what it takes to resolve one entry anew, under Init, as if all others had just been resolved.
type replay struct {
	resolveFrom *environ.Environ // what resolve began with
	applied     []appliedEntry   // what it applied
	failing     []string         // entries that failed
}

// report is what people are told of a start-up.
type report struct {
	failures *multierror.Error
	culprit  string // the first executable that failed
	timeline timeline.Timeline
	plotted  bool // the timeline has been shown
}

// shared is what all start-ups of a process have in common: the one before COMMAND, and those that begin anew while
// COMMAND runs.
type shared struct {
	*Harness
	children  *child.Children
	null      int               // the descriptor of every executable's stdin
	user      *account.Account  // whom COMMAND runs as, nil for the harness's own user
	shut      sync.Once         // the inherited descriptors were closed for executables
	inherited []int             // and these they are, for COMMAND
	cache     *securefile.Dir   // with Cache
	envFile   map[string]string // what env-files gave, by name, with the file: the weakest source
	offered   func() []offer    // CONTAINER_HOST and DOCKERD, for executables alone
	files     fileStore         // where values stand that are no variables
}

// begin reads what a run starts from: the environment and the env-files.
func (h *Harness) begin() (*startup, error) {
	h.signals.await()
	null, err := child.OpenNull()
	if err != nil {
		return nil, &Error{Subject: os.DevNull, Problem: "cannot open it, nor a pipe in its place: " + text.Reason(err), Err: err}
	}
	s := &startup{
		shared: &shared{
			Harness:  h,
			children: child.New(),
			null:     null,
			envFile:  map[string]string{},
			offered:  sync.OnceValue(findOffers),
		},
		decisions: newDecisions(environ.New(h.Environ)),
		started:   new(atomic.Bool),
	}
	if h.Deadline > 0 {
		s.deadline = h.began.Add(h.Deadline)
	}
	for _, name := range h.Drop {
		s.env.Unset(name)
	}
	sigaction.ResetInherited()
	if h.Init.Enabled {
		h.signals.forwardAll()
	}
	h.signals.deliver(s.children)
	time.AfterFunc(hearEvery, s.hearWhileStuck)
	s.guardDeadline()
	for _, step := range []func() error{s.checkOptions, s.readEnvFiles} {
		if err := step(); err != nil {
			return nil, s.fail(err)
		}
	}
	return s, nil
}

// checkOptions finds what is wrong with the options before anything runs.
func (s *startup) checkOptions() (err error) {
	if s.User != "" {
		if s.user, err = account.LookUp(s.User); err != nil {
			return err
		}
	}
	if s.Init.Enabled {
		if err := s.checkProbes(); err != nil {
			return err
		}
	}
	if s.Cache != "" {
		s.cache, err = openCache(s.Cache)
	}
	return err
}

// checkProbes finds a misspelt probe before it makes a healthy command look ill.
func (s *startup) checkProbes() error {
	for _, probe := range [...]struct{ option, path string }{{"--ready ", s.Init.Ready}, {"--health ", s.Init.Health}} {
		if probe.path == "" || probe.path == ReadyNotify {
			continue
		}
		if err := unix.Access(probe.path, unix.X_OK); err != nil {
			return &Error{Subject: probe.option + probe.path, Problem: "cannot be executed: " + text.Reason(err), Next: "name an executable that exits 0 while the command is well", Err: err}
		}
	}
	if s.Init.OnChange == ChangeExec {
		if err := unix.Access(s.Init.Exec, unix.X_OK); err != nil {
			return &Error{Subject: "--on-change exec=" + s.Init.Exec, Problem: "cannot be executed: " + text.Reason(err), Next: "name an executable that deals with new values", Err: err}
		}
	}
	return nil
}

// prepare does everything that comes before COMMAND, in the contract's order.
func (s *startup) prepare(command []string) error {
	if does, may := s.mayDecide("PATH"); !does {
		if err := s.checkCommand(command[0]); err != nil && !may {
			return err
		}
	}
	if s.ExportLast {
		s.resolveFirst(command)
	} else {
		s.announce()
		if s.mayContinue() {
			s.resolve()
		}
		s.require()
		s.lastSteps(command)
	}
	if !s.Init.Enabled {
		s.endHeld()
	}
	return s.failed()
}

// lastSteps is what is done with everything resolved, right before COMMAND: files are written, and what prepares it
// runs, unless it cannot start.
func (s *startup) lastSteps(command []string) {
	if s.failed() != nil || len(s.AsFile) == 0 && len(s.Prepare) == 0 {
		return
	}
	err := s.checkCommand(command[0])
	if err == nil {
		err = s.writeFiles()
	}
	if err != nil {
		s.record(err)
		return
	}
	s.runPrepare()
}

// resolveFirst is the order of ExportLast: nothing is announced when COMMAND cannot start.
func (s *startup) resolveFirst(command []string) {
	s.resolve()
	s.require()
	if s.failed() != nil {
		return
	}
	if err := s.checkCommand(command[0]); err != nil {
		s.record(err)
		return
	}
	if s.lastSteps(command); s.failed() == nil {
		s.announce()
	}
}

// announce runs /export, unless that waits until COMMAND is ready.
func (s *startup) announce() {
	if !s.Init.Enabled || !s.Init.ExportWhenReady {
		s.export()
	}
}

// again is a start-up that begins anew with env, for what is resolved or run while COMMAND runs.
func (s *startup) again(env *environ.Environ) *startup {
	return &startup{shared: s.shared, decisions: newDecisions(env.Clone())}
}

// mayContinue tells whether anything more is to be started.
func (s *startup) mayContinue() bool {
	return s.children.StoppedBy() == 0 && (s.failures == nil || !s.FailFast)
}

// record keeps a failure. One of an executable that ran after another failed says so: it may be a mere
// consequence.
func (s *startup) record(err error) {
	var e *Error
	if errors.As(err, &e) {
		if s.culprit != "" && e.Kind != "" {
			e.Problem += " (it ran after " + text.Printable(s.culprit) + " had failed)"
		}
		if s.culprit == "" {
			s.culprit = e.Subject
		}
	}
	s.failures = multierror.Append(s.failures, err)
}

// failed is why COMMAND may not start: the signal that ends start-up, or the failures gathered.
func (s *startup) failed() error {
	if sig := s.children.StoppedBy(); sig != 0 {
		return &signalError{sig}
	}
	return s.failures.ErrorOrNil()
}

// fail ends a start-up that failed: exports that are still running get TERM, the timeline shows how far it
// came. The error is err, or the signal that came meanwhile.
func (s *startup) fail(err error) error {
	if s.Init.Enabled {
		s.children.TerminateRest()
	} else {
		s.children.Terminate()
	}
	s.writeTimeline("")
	if sig := s.children.StoppedBy(); sig != 0 {
		return &signalError{sig}
	}
	return err
}

// require checks the names that must be set and not empty.
func (s *startup) require() {
	if !s.mayContinue() {
		return // what would have given a name may not have run
	}
	env := s.passedEnviron()
	for _, name := range s.Require {
		if env.Value(name) != "" || slices.Contains(s.failing, name) {
			continue
		}
		problem := "is required and not set"
		if env.Has(name) {
			problem = "is required and empty"
		}
		s.failures = multierror.Append(s.failures, &Error{
			Subject: name,
			Problem: problem,
			Next:    s.requireHint(name),
		})
	}
}

func (s *startup) requireHint(name string) string {
	var entries []string
	for _, dir := range s.Environment {
		entries = append(entries, filepath.Join(dir, name))
	}
	return "add " + strings.Join(entries, " or ") + ", or set it with docker run -e"
}
