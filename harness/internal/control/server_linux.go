package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConversations is how many clients are talked to at a time. More of them wait to be accepted.
	maxConversations = 8
	// clientTime is how long a client may take to send its request, and to read the answer.
	clientTime = 5 * time.Second
	// evictAfter is how long one may be silent while others wait.
	evictAfter = 250 * time.Millisecond
	// acceptAgain is when accept(2) is tried again after it failed, for want of a descriptor.
	acceptAgain = 200 * time.Millisecond
	// maxRequest bounds a request, which is one word.
	maxRequest = 64
)

// Server answers the clients of one socket.
type Server struct {
	path      string
	fd        int
	wake      int // eventfd(2): an answer is there
	answers   chan reply
	clients   []*client
	pauseEnds time.Time // nobody is accepted until then
}

// client is one conversation: first its request is read, then the answer waited for, then that is written.
type client struct {
	fd      int
	began   time.Time
	expires time.Time // zero while the answer is waited for
	request []byte
	asked   bool
	answer  []byte
}

type reply struct {
	to     *client
	answer []byte
}

// Listen makes the socket, where path is DefaultSocket and cannot be made in its second place. Serve answers on it,
// Close removes it.
func Listen(path string) (*Server, error) {
	fd, err := listen(path)
	for _, second := range places(path)[1:] {
		if err == nil || !lacksPlace(err) {
			break
		}
		if other, problem := listen(second); problem == nil {
			fd, path, err = other, second, nil
		}
	}
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Server{path: path, fd: fd, wake: wake, answers: make(chan reply, maxConversations)}, nil
}

// Serve answers clients until the process ends. answer may take its time; it runs in a goroutine of its own and
// waits in Go alone, so that all clients together need one thread: at a pids limit there is no other.
func (s *Server) Serve(answer func(request string) Answer) {
	for {
		s.step(answer)
	}
}

// step waits for one thing to happen.
func (s *Server) step(answer func(request string) Answer) {
	fds := []unix.PollFd{{Fd: int32(s.wake), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	now := time.Now()
	if s.mayAccept(now) {
		fds[1].Fd = int32(s.fd)
	}
	clients := s.clients
	for _, c := range clients {
		fds = append(fds, unix.PollFd{Fd: int32(c.fd), Events: c.events()})
	}
	unix.Poll(fds, s.timeout(now))
	if fds[0].Revents != 0 {
		s.takeAnswers()
	}
	for i, c := range clients {
		if fds[2+i].Revents != 0 {
			s.advance(c, answer)
		}
	}
	s.expire(time.Now())
	if fds[1].Revents != 0 {
		s.accept()
	}
}

// mayAccept tells whether there is room for a client, or will be for one that waits.
func (s *Server) mayAccept(now time.Time) bool {
	return !now.Before(s.pauseEnds) && (len(s.clients) < maxConversations || s.silent(now) != nil)
}

// silent is the client that has said nothing for longest, if that is long.
func (s *Server) silent(now time.Time) *client {
	for _, c := range s.clients {
		if !c.asked && now.Sub(c.began) >= evictAfter {
			return c
		}
	}
	return nil
}

// timeout is how long poll(2) may wait: for ever when nothing has a deadline.
func (s *Server) timeout(now time.Time) int {
	var next time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if now.Before(s.pauseEnds) {
		earlier(s.pauseEnds)
	}
	for _, c := range s.clients {
		earlier(c.expires)
		if full := len(s.clients) >= maxConversations; full && !c.asked && now.Sub(c.began) < evictAfter {
			earlier(c.began.Add(evictAfter))
		}
	}
	if next.IsZero() {
		return -1
	}
	return int(max(next.Sub(now), 0)/time.Millisecond) + 1
}

// accept takes one client, who must be root or the harness's own user, whatever the file's mode says.
func (s *Server) accept() {
	fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		if err != unix.EINTR && err != unix.ECONNABORTED && err != unix.EAGAIN {
			s.pauseEnds = time.Now().Add(acceptAgain)
		}
		return
	}
	now := time.Now()
	if old := s.silent(now); old != nil && len(s.clients) >= maxConversations {
		s.drop(old)
	}
	c := &client{fd: fd, began: now, expires: now.Add(clientTime)}
	s.clients = append(s.clients, c)
	if uid, err := peerUser(fd); err != nil || uid != 0 && uid != os.Getuid() {
		c.asked = true
		c.setAnswer(encode(Answer{Problem: "only root and the harness's own user are answered"}))
	}
}

func (s *Server) drop(c *client) {
	unix.Close(c.fd)
	clients := make([]*client, 0, maxConversations)
	for _, other := range s.clients {
		if other != c {
			clients = append(clients, other)
		}
	}
	s.clients = clients
}

// expire ends the conversations whose time is over.
func (s *Server) expire(now time.Time) {
	for _, c := range s.clients {
		if !c.expires.IsZero() && !now.Before(c.expires) {
			s.drop(c)
		}
	}
}

// events are what is waited for. While the answer is not there only the client's end counts, which poll(2) tells
// anyway.
func (c *client) events() int16 {
	switch {
	case !c.asked:
		return unix.POLLIN
	case c.answer != nil:
		return unix.POLLOUT
	}
	return 0
}

func (c *client) setAnswer(answer []byte) {
	c.answer, c.expires = answer, time.Now().Add(clientTime)
}

// advance goes on with a conversation as far as it goes without waiting.
func (s *Server) advance(c *client, answer func(string) Answer) {
	switch {
	case !c.asked:
		s.read(c, answer)
	case c.answer != nil:
		s.write(c)
	default: // it has gone; its answer will find nobody
		s.drop(c)
	}
}

func (s *Server) read(c *client, answer func(string) Answer) {
	var data [maxRequest]byte
	n, err := unix.Read(c.fd, data[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil {
		s.drop(c)
		return
	}
	c.request = append(c.request, data[:n]...)
	request, whole := parseRequest(c.request)
	if !whole && n > 0 {
		return
	}
	c.asked, c.expires = true, time.Time{}
	go func() {
		s.answers <- reply{c, encode(answer(request))}
		unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}()
}

// parseRequest is the first line that a client sends, and whether it is complete. One that is too long is none.
func parseRequest(data []byte) (request string, whole bool) {
	line, _, found := bytes.Cut(data, []byte("\n"))
	if len(line) > maxRequest {
		return "", true
	}
	return string(line), found
}

func (s *Server) takeAnswers() {
	var count [8]byte
	unix.Read(s.wake, count[:])
	for {
		select {
		case r := <-s.answers:
			r.to.setAnswer(r.answer)
		default:
			return
		}
	}
}

func (s *Server) write(c *client) {
	n, err := unix.SendmsgN(c.fd, c.answer, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if c.answer = c.answer[max(n, 0):]; err != nil || len(c.answer) == 0 {
		s.drop(c)
	}
}

func encode(a Answer) []byte {
	line, _ := json.Marshal(a)
	return append(line, '\n')
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
