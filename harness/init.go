package harness

import (
	"syscall"
	"time"
)

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

// The policies: COMMAND is restarted, gets a signal, is stopped for good, or is left alone.
const (
	ChangeRestart ChangePolicy = "restart"
	ChangeSignal  ChangePolicy = "signal"
	ChangeExit    ChangePolicy = "exit"
	ChangeNone    ChangePolicy = "none"
)

// ReadyNotify lets COMMAND say that it is ready by sd_notify(3).
const ReadyNotify = "notify"

// DefaultSocket is where a harness is reached, and looked for.
const DefaultSocket = "/run/envharness.sock"

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
