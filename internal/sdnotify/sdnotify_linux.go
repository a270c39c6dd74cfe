package sdnotify

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket receives the messages of sd_notify(3) for one executable. Its address is abstract and chosen
// by the kernel (autobind, unix(7)), so that it needs no writable disk and is nobody else's.
type Socket struct {
	fd      int
	address string
	Also    int                // a user that is heard beside root and the harness's own
	Accept  func(pid int) bool // whether a process may speak here; nil lets all of these users
	valid   time.Duration
}

// Listen opens a socket. Where that is forbidden there are no notifications, which is no failure:
// most executables send none. The owner closes it.
func Listen() *Socket {
	none := &Socket{fd: -1}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return none
	}
	n := &Socket{fd: fd}
	if n.bind() != nil {
		n.Close()
		return none
	}
	return n
}

func (n *Socket) bind() error {
	if err := unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return err
	}
	if err := unix.Bind(n.fd, &unix.SockaddrUnix{}); err != nil {
		return err
	}
	bound, err := unix.Getsockname(n.fd)
	if err != nil {
		return err
	}
	n.address = bound.(*unix.SockaddrUnix).Name
	return nil
}

// FD is its descriptor, to poll for messages, or -1.
func (n *Socket) FD() int { return n.fd }

// Environ is the entry that tells an executable the address (Variable), or nothing.
func (n *Socket) Environ() []string {
	if n.fd < 0 {
		return nil
	}
	return []string{Variable + "=" + n.address}
}

// Close gives the socket up. It may be called twice.
func (n *Socket) Close() {
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
	}
}

// Ready takes what has arrived and counts the messages that said READY=1.
func (n *Socket) Ready() int {
	count := 0
	for {
		message, ok := n.Receive()
		if !ok {
			return count
		}
		if SaysReady(message) {
			count++
		}
		if valid, said := ValidFor(message); said {
			n.valid = valid
		}
	}
}

// Valid is what the last VALID_USEC=N among the messages that Ready took said, or 0.
func (n *Socket) Valid() time.Duration { return n.valid }

// Receive takes one message. Only root, the harness's own user and n.Also are heard: an abstract socket has no
// file permissions that would keep others out. Descriptors that come with a message are closed: a sender of
// BARRIER=1 (systemd-notify(1)) waits for that.
func (n *Socket) Receive() (message string, ok bool) {
	var data [4096]byte
	var control [512]byte
	for {
		size, controlSize, _, _, err := unix.Recvmsg(n.fd, data[:], control[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", false
		}
		if n.accepts(sender(control[:controlSize])) {
			return string(data[:size]), true
		}
	}
}

func (n *Socket) accepts(pid, uid int) bool {
	if uid != 0 && uid != os.Getuid() && uid != n.Also {
		return false
	}
	return n.Accept == nil || n.Accept(pid)
}

// sender reads a message's credentials and closes its descriptors. Without credentials it is nobody, -1.
func sender(control []byte) (pid, uid int) {
	pid, uid = -1, -1
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if credentials, err := unix.ParseUnixCredentials(&m); err == nil {
			pid, uid = int(credentials.Pid), int(credentials.Uid)
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}
	return pid, uid
}

// Send sends a message of sd_notify(3) to an address, which is a path or, with @, an abstract name. Nobody is told
// of a failure: whoever waits for the message has a time-out of its own.
func Send(address, message string) { _ = sendTo(address, message, unix.MSG_DONTWAIT) }

// Tell is Send that waits while the receiver has too many messages, and gives the error.
func Tell(address, message string) error { return sendTo(address, message, 0) }

func sendTo(address, message string, flags int) error {
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return unix.EAFNOSUPPORT
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte(message), unix.MSG_NOSIGNAL|flags, &unix.SockaddrUnix{Name: address})
}

// Notify sends a message of sd_notify(3) to an address and waits until it has been taken, wait at the most, as
// systemd-notify(1) does: whoever takes it may want to know of a sender that still exists.
func Notify(address, message string, wait time.Duration) error {
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return unix.EAFNOSUPPORT
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := &unix.SockaddrUnix{Name: address}
	// The parent is the one that has something to say, where its name may be used.
	parent := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getppid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
	if unix.Sendmsg(fd, []byte(message), parent, to, unix.MSG_NOSIGNAL) != nil {
		if err := unix.Sendmsg(fd, []byte(message), nil, to, unix.MSG_NOSIGNAL); err != nil {
			return err
		}
	}
	return barrier(fd, to, wait)
}

// barrier sends a pipe's end, which is closed by whoever has taken everything before it.
func barrier(fd int, to unix.Sockaddr, wait time.Duration) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(ends[0])
	err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(ends[1]), to, unix.MSG_NOSIGNAL)
	unix.Close(ends[1])
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(wait); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(ends[0])}}, int(max(time.Until(deadline), 0)/time.Millisecond))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		default:
			return nil
		}
	}
}
