package harness

import (
	"slices"
	"syscall"
	"time"

	"github.com/envharness/envharness/harness/internal/control"
)

// EmptyPolicy says what an empty value means.
type EmptyPolicy string

// The policies for an empty value: the variable is set and empty, it is unset, or start-up fails.
const (
	EmptyKeep  EmptyPolicy = "keep"
	EmptyUnset EmptyPolicy = "unset"
	EmptyFail  EmptyPolicy = "fail"
)

// Options says how a run behaves. Each field is the option of the same name; see DefaultOptions.
type Options struct {
	Environment []string // directories of /environment, a later one's entry replaces an earlier one's
	Export      []string // directories of /export, in the order they run
	ExportLast  bool     // run /export after /environment, with the resolved variables
	EnvFiles    []string // dotenv files, read first, a later one wins
	Secrets     []string // directories of secrets, of which nothing runs

	Names       NamePolicy       // what an entry name that is no variable's means
	Executable  ExecutablePolicy // what tells an executable
	ExpandFiles bool             // NAME is the content of the file that NAME_FILE names

	Timeout    time.Duration // for one try of one executable, 0 is none
	Deadline   time.Duration // for all of start-up, 0 is none
	Retries    int           // further tries of an /environment executable
	RetryDelay time.Duration // before the first of them; it doubles
	Jobs       int           // /environment executables that run at a time
	FailFast   bool          // stop at the first failure

	Require         []string    // names that must be set and not empty
	Empty           EmptyPolicy // what an empty value means
	PreferInherited bool        // a variable that is already set wins
	Pristine        bool        // COMMAND gets only what was resolved and what Pass names
	Pass            []string    // globs of inherited names that Pristine lets through

	Cache       string        // directory of last-known-good values, empty for none
	CacheMaxAge time.Duration // older values are not used

	AsFile  []string // globs of variables whose values stand in files instead
	Files   string   // the directory of those files
	Prepare []string // executables that run before the first COMMAND, with its variables

	User  string // USER[:GROUP] for COMMAND, as in docker run --user
	Chdir string // working directory for COMMAND

	Timeline    bool   // start-up as bars on stderr
	TimelineSVG string // and as a picture in this file

	Init InitOptions // staying as PID 1

	Drop []string // names that neither COMMAND nor executables get: the harness's own options
}

// DefaultOptions is what envharness does when it is given no option.
func DefaultOptions() Options {
	return Options{
		Environment: []string{"/environment"},
		Export:      []string{"/export"},
		Timeout:     30 * time.Second,
		RetryDelay:  time.Second,
		Jobs:        1,
		Names:       NamesStrict,
		Executable:  ExecutableMode,
		Files:       DefaultFiles,
		Empty:       EmptyKeep,
		CacheMaxAge: 24 * time.Hour,
		Init:        DefaultInitOptions(),
	}
}

// InitOptions says how the harness behaves that stays beside COMMAND, as PID 1 of a container.
type InitOptions struct {
	Enabled bool

	Grace             time.Duration                     // from the beginning of a stop to KILL
	StopSignals       []syscall.Signal                  // that begin a stop beside TERM and INT
	SignalMap         map[syscall.Signal]syscall.Signal // what COMMAND gets in place of a signal, 0 for nothing
	Group             bool                              // signals go to COMMAND's process group
	ExpectExit        map[int]int                       // exit codes that mean another one
	ParentDeathSignal syscall.Signal                    // that the harness gets when its parent dies, 0 for none

	Refresh  time.Duration  // between two resolutions while COMMAND runs, 0 for none
	OnChange ChangePolicy   // what follows when a value has changed
	Signal   syscall.Signal // for ChangeSignal
	Exec     string         // for ChangeExec
	Delay    time.Duration  // the most that is waited before what follows, at random
	Write    string         // dotenv file that is kept current

	Ready           string        // ReadyNotify, the path of an executable, or empty: ready once started
	Health          string        // executable that exits 0 while COMMAND is well
	HealthInterval  time.Duration // between two of its runs
	HealthFailures  int           // in a row that make COMMAND unhealthy
	ExportWhenReady bool          // run /export once COMMAND is ready
	Socket          string        // where status, ready, drain and resume reach the harness
}

// ChangePolicy says what follows when a value has changed while COMMAND runs.
type ChangePolicy string

// The policies: COMMAND is restarted, gets a signal, goes on while an executable runs with the new values, is stopped
// for good, or is left alone.
const (
	ChangeRestart ChangePolicy = "restart"
	ChangeSignal  ChangePolicy = "signal"
	ChangeExec    ChangePolicy = "exec"
	ChangeExit    ChangePolicy = "exit"
	ChangeNone    ChangePolicy = "none"
)

// ReadyNotify lets COMMAND say that it is ready by sd_notify(3).
const ReadyNotify = "notify"

// DefaultSocket is where a harness is reached, and looked for.
const DefaultSocket = control.DefaultSocket

// DefaultInitOptions is what --init does without further options.
func DefaultInitOptions() InitOptions {
	return InitOptions{
		Grace:          8 * time.Second,
		OnChange:       ChangeRestart,
		HealthInterval: 10 * time.Second,
		HealthFailures: 3,
		Socket:         DefaultSocket,
	}
}

// mapped is what COMMAND gets for a signal, or 0.
func (o InitOptions) mapped(sig syscall.Signal) syscall.Signal {
	if other, ok := o.SignalMap[sig]; ok {
		return other
	}
	return sig
}

// stops tells whether a signal, as received, begins a stop.
func (o InitOptions) stops(sig syscall.Signal) bool {
	return o.mapped(sig) != 0 && (sig == syscall.SIGTERM || sig == syscall.SIGINT || slices.Contains(o.StopSignals, sig))
}

// stopSignal is what COMMAND is stopped with when nobody sent a signal.
func (o InitOptions) stopSignal() syscall.Signal {
	stop := syscall.SIGTERM
	if len(o.StopSignals) > 0 {
		stop = o.StopSignals[0]
	}
	if sig := o.mapped(stop); sig != 0 {
		return sig
	}
	return stop
}

// exitCode is the exit code for COMMAND's status.
func (o InitOptions) exitCode(status syscall.WaitStatus) int {
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if other, ok := o.ExpectExit[code]; ok {
		return other
	}
	return code
}
