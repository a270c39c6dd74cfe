package harness

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// Status is what a running harness says of itself, as envharness status prints it.
type Status struct {
	Phase     string           `json:"phase"` // one of the Phase constants
	PID       int              `json:"pid"`   // COMMAND's, 0 while there is none
	Ready     bool             `json:"ready"`
	Healthy   bool             `json:"healthy"`
	Announced bool             `json:"announced"`
	Names     []NameStatus     `json:"names"`
	Exporters []ExporterStatus `json:"exporters"` // the held ones
}

// NameStatus is one name that /environment decides, with the time its value was last found.
type NameStatus struct {
	Name      string    `json:"name"`
	Refreshed time.Time `json:"refreshed"`
}

// ExporterStatus is one held executable of /export. PID is 0 while it waits to be started again.
type ExporterStatus struct {
	Path string `json:"path"`
	PID  int    `json:"pid"`
}

// The phases of a harness under Init.
const (
	PhaseStarting = "starting" // COMMAND has not been started yet
	PhaseRunning  = "running"
	PhaseDrained  = "drained"  // withdrawn by envharness drain, COMMAND runs
	PhaseStopping = "stopping" // a stop has begun
)

// answer is what a harness replies to a request, in one line of JSON.
type answer struct {
	OK      bool            `json:"ok"`
	Problem string          `json:"problem,omitempty"` // why not
	Status  json.RawMessage `json:"status,omitempty"`
}

// ErrNoHarness is the cause when no harness listens on a socket.
var ErrNoHarness = errors.New("no harness is listening")

// The requests that a harness understands.
const (
	RequestStatus = "status" // its Status
	RequestReady  = "ready"  // is COMMAND ready and well?
	RequestDrain  = "drain"  // withdraw, and answer when that is done
	RequestResume = "resume" // announce again, and answer when that is done
)

// Ask sends one request to the harness that listens on socket. The status is there after RequestStatus. An
// error with exit code 1 is a no; any other means that no harness could be asked.
func Ask(socket, request string) (status []byte, err error) {
	fd, err := dial(socket)
	if err != nil {
		return nil, &Error{
			Subject: socket,
			Problem: "no harness answers there: " + text.Reason(err),
			Next:    "start the container's command with envharness --init, or name its socket with --socket",
			Err:     errors.Join(ErrNoHarness, err),
		}
	}
	conversation := os.NewFile(uintptr(fd), socket)
	defer conversation.Close()
	if _, err := conversation.WriteString(request + "\n"); err != nil {
		return nil, &Error{Subject: socket, Problem: "the harness went away: " + text.Reason(err), Err: ErrNoHarness}
	}
	var a answer
	if err := json.NewDecoder(conversation).Decode(&a); err != nil {
		return nil, &Error{Subject: socket, Problem: "the harness gave no answer", Err: ErrNoHarness}
	}
	if !a.OK {
		return a.Status, &Error{Subject: request, Problem: "no: " + a.Problem, Code: 1}
	}
	return a.Status, nil
}

// dial connects to a harness of this user or of root: anybody else's answers are worth nothing.
func dial(socket string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if uid, err := peerUser(fd); err != nil || uid != 0 && uid != os.Getuid() {
		unix.Close(fd)
		return -1, errors.New("the process that listens there is another user's")
	}
	return fd, nil
}

// readRequest is the first line that a client sends.
func readRequest(conversation *os.File) string {
	var line [64]byte
	n, _ := conversation.Read(line[:])
	request, _, _ := strings.Cut(string(line[:n]), "\n")
	return request
}
