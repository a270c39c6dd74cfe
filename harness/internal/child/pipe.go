package child

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/sdnotify"
)

// pipe connects the harness with one executable: the pipe of its stdout, and its notify socket.
type pipe struct {
	read, write int // -1 once closed
	notify      *sdnotify.Socket
}

func newPipe() (*pipe, error) {
	var ends [2]int
	if err := makePipe(&ends); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &pipe{read: ends[0], write: ends[1], notify: sdnotify.Listen()}, nil
}

func (p *pipe) closeRead()  { closeOnce(&p.read) }
func (p *pipe) closeWrite() { closeOnce(&p.write) }

func (p *pipe) close() {
	p.closeRead()
	p.closeWrite()
	p.notify.Close()
}

func closeOnce(fd *int) {
	if *fd >= 0 {
		syscall.Close(*fd)
		*fd = -1
	}
}

// takePipe gives the pipe that was made ahead, or a new one.
func (ps *Children) takePipe() (*pipe, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.nextPipe; p != nil {
		ps.nextPipe = nil
		return p, nil
	}
	return newPipe()
}

// preparePipe makes one ahead, in the time that the executable just started takes anyway.
func (ps *Children) preparePipe() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.nextPipe == nil {
		ps.nextPipe, _ = newPipe()
	}
}

// OpenNull opens what executables get as stdin: /dev/null, or where an image has none, a pipe at its end. It
// is a bare descriptor, because an os.File would start Go's poller, which the harness does not use.
func OpenNull() (int, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	var ends [2]int
	if err := makePipe(&ends); err != nil {
		return -1, err
	}
	unix.Close(ends[1])
	return ends[0], nil
}
