package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// Conversation is a connection with a harness, for one request.
type Conversation struct{ file *os.File }

// AnswerTime is how long a harness may take to answer a question that it can answer at once.
const AnswerTime = 5 * time.Second

// Dial connects to the harness that listens on socket, or in its second place, within AnswerTime. The caller closes
// the conversation.
func Dial(socket string) (*Conversation, error) {
	var first error
	for _, path := range places(socket) {
		fd, err := dial(path)
		if err == nil {
			return &Conversation{os.NewFile(uintptr(fd), path)}, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Alive tells whether a harness of this PID namespace listens on socket, or in its second place. One that shares only
// the directory, as containers of a pod may, is another container's.
func Alive(socket string) bool { return slices.ContainsFunc(places(socket), aliveAt) }

// aliveAt also knows a harness that this user may not talk to, root's or that of the container's own user: a console
// in the container is often another user's.
func aliveAt(path string) bool {
	fd, err := connect(path)
	if err != nil {
		return errors.Is(err, unix.EACCES) && mayBeHarness(ownerOf(path)) && isListenedAt(path)
	}
	defer unix.Close(fd)
	uid, err := peerUser(fd)
	if err != nil || !mayBeHarness(uid) {
		return false
	}
	pid, err := peerProcess(fd)
	return err == nil && pid > 0
}

// mayBeHarness tells whether a user is one whose harness this may be: its own, root, or who runs PID 1. Anybody else
// would keep a service from being announced by listening where a harness would.
func mayBeHarness(uid int) bool {
	return uid == 0 || uid == os.Getuid() || uid >= 0 && uid == ownerOf("/proc/1")
}

// ownerOf is the user that a file belongs to, or -1.
func ownerOf(path string) int {
	var info unix.Stat_t
	if unix.Lstat(path, &info) != nil {
		return -1
	}
	return int(info.Uid)
}

// Ask sends the request and waits for the answer: within AnswerTime, but for one that has to be brought about first.
func (c *Conversation) Ask(request string) (a Answer, err error) {
	if request == AskDrain || request == AskResume {
		unix.SetsockoptTimeval(int(c.file.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{})
	}
	if _, err := c.file.WriteString(request + "\n"); err != nil {
		return a, errors.New("the harness went away: " + text.Reason(err))
	}
	err = json.NewDecoder(c.file).Decode(&a)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return a, fmt.Errorf("the harness gave no answer within %v", AnswerTime)
	case err != nil:
		return a, errors.New("the harness gave no answer")
	}
	return a, nil
}

// Close ends the conversation.
func (c *Conversation) Close() error { return c.file.Close() }

// dial connects to a harness of this user or of root: anybody else's answers are worth nothing.
func dial(socket string) (int, error) {
	fd, err := connect(socket)
	if errors.Is(err, unix.ECONNREFUSED) && !isSocket(socket) {
		return -1, errors.New("it is no socket")
	}
	if err != nil {
		return -1, err
	}
	if uid, err := peerUser(fd); err != nil || uid != 0 && uid != os.Getuid() {
		unix.Close(fd)
		return -1, errors.New("the process that listens there is another user's")
	}
	return fd, nil
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// connect connects to whoever listens.
func connect(socket string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	limit := unix.NsecToTimeval(AnswerTime.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
