package control

import (
	"encoding/json"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Server answers the clients of one socket.
type Server struct {
	path string
	fd   int
}

// Listen makes the socket. Serve answers on it, Close removes it.
func Listen(path string) (*Server, error) {
	fd, err := listen(path)
	if err != nil {
		return nil, err
	}
	return &Server{path, fd}, nil
}

// Serve answers every client, each in a goroutine of its own, until the process ends. answer may take its time.
func (s *Server) Serve(answer func(request string) Answer) {
	for {
		conversation, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			go s.converse(conversation, answer)
		case err != unix.EINTR && err != unix.ECONNABORTED:
			return
		}
	}
}

// Close removes the socket.
func (s *Server) Close() error { return os.Remove(s.path) }

// listen makes the socket, readable and writable by its owner from its birth: bind(2) takes the mode
// of the socket less the umask. A stale one, on which nobody answers, is replaced if it is ours.
func listen(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	unix.Fchmod(fd, 0o600)
	address := &unix.SockaddrUnix{Name: path}
	err = unix.Bind(fd, address)
	if err == unix.EADDRINUSE {
		if err = removeStale(path); err == nil {
			err = unix.Bind(fd, address)
		}
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func removeStale(path string) error {
	var info unix.Stat_t
	if err := unix.Lstat(path, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("something that is no socket stands in its place")
	}
	if int(info.Uid) != os.Getuid() {
		return errors.New("a socket of another user stands in its place")
	}
	if fd, err := dial(path); err == nil {
		unix.Close(fd)
		return errors.New("another harness listens there")
	} else if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// converse answers one client, who must be root or the harness's own user, whatever the file's mode says.
func (s *Server) converse(fd int, answer func(request string) Answer) {
	conversation := os.NewFile(uintptr(fd), s.path)
	defer conversation.Close()
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	var a Answer
	if uid, err := peerUser(fd); err != nil || uid != 0 && uid != os.Getuid() {
		a.Problem = "only root and the harness's own user are answered"
	} else {
		a = answer(readRequest(conversation))
	}
	json.NewEncoder(conversation).Encode(a)
}
