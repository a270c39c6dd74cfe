// Package control is the conversation with a running harness: a client connects to its socket, sends one word and
// gets one line of JSON.
package control

import (
	"encoding/json"
	"time"
)

// Status is what a running harness says of itself, as envharness status prints it.
type Status struct {
	Phase     string           `json:"phase"` // one of the phases below
	PID       int              `json:"pid"`   // COMMAND's, 0 while there is none
	Ready     bool             `json:"ready"`
	Healthy   bool             `json:"healthy"`
	Announced bool             `json:"announced"`
	Since     time.Time        `json:"since,omitzero"` // when COMMAND was started last
	Restarts  int              `json:"restarts"`       // of COMMAND
	Names     []NameStatus     `json:"names"`
	Exporters []ExporterStatus `json:"exporters"` // the long-running hooks of /export
}

// NameStatus is one name that /environment decides, with the times at which its value was last found and could last not
// be found, and that at which it will be found anew.
type NameStatus struct {
	Name      string    `json:"name"`
	Refreshed time.Time `json:"refreshed"`
	Failed    time.Time `json:"failed,omitzero"`
	Next      time.Time `json:"next,omitzero"`
}

// ExporterStatus is one long-running hook of /export. PID is 0 while it waits to be started again.
type ExporterStatus struct {
	Path string `json:"path"`
	PID  int    `json:"pid"`
}

// The phases of a harness under Init.
const (
	Starting = "starting" // COMMAND has not been started yet
	Running  = "running"
	Drained  = "drained"  // withdrawn by envharness drain, COMMAND runs
	Stopping = "stopping" // a stop has begun
)

// Answer is what a harness replies to a request, in one line of JSON.
type Answer struct {
	OK      bool            `json:"ok"`
	Problem string          `json:"problem,omitempty"` // why not
	Status  json.RawMessage `json:"status,omitempty"`
}

// The requests that a harness understands.
const (
	AskStatus = "status" // its Status
	AskReady  = "ready"  // is COMMAND ready and well?
	AskDrain  = "drain"  // withdraw, and answer when that is done
	AskResume = "resume" // announce again, and answer when that is done
)
