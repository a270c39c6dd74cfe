package control

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// Conversation is a connection with a harness, for one request.
type Conversation struct{ file *os.File }

// Dial connects to the harness that listens on socket. The caller closes the conversation.
func Dial(socket string) (*Conversation, error) {
	fd, err := dial(socket)
	if err != nil {
		return nil, err
	}
	return &Conversation{os.NewFile(uintptr(fd), socket)}, nil
}

// Ask sends the request and waits for the answer.
func (c *Conversation) Ask(request string) (a Answer, err error) {
	if _, err := c.file.WriteString(request + "\n"); err != nil {
		return a, errors.New("the harness went away: " + text.Reason(err))
	}
	if json.NewDecoder(c.file).Decode(&a) != nil {
		return a, errors.New("the harness gave no answer")
	}
	return a, nil
}

// Close ends the conversation.
func (c *Conversation) Close() error { return c.file.Close() }

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
